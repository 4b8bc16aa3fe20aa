/* SPDX-License-Identifier: Apache-2.0 */
/* The heap against a plain array, with random operations. */
#include "daemon/core/agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NODES 300
#define STEPS 200000

static uint32_t seed = 42;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void check_heap(const struct agenda *a)
{
	for (uint32_t i = 1; i <= a->n; i++) {
		assert_int_equal(a->heap[i]->slot, i);
		assert_true(i == 1 || a->heap[i / 2]->due_at <= a->heap[i]->due_at);
	}
}

static void test_few(void **state)
{
	struct agenda a = { 0 };
	struct agenda_node x = { 0 }, y = { 0 }, z = { 0 };

	(void)state;
	assert_null(agenda_first(&a));
	agenda_remove(&a, &x);
	assert_null(agenda_first(&a));
	agenda_set(&a, &x, 30);
	agenda_set(&a, &y, 20);
	agenda_set(&a, &z, 10);
	assert_ptr_equal(agenda_first(&a), &z);
	agenda_set(&a, &z, 40);
	assert_ptr_equal(agenda_first(&a), &y);
	agenda_remove(&a, &y);
	agenda_remove(&a, &y);
	assert_int_equal(y.slot, 0);
	assert_ptr_equal(agenda_first(&a), &x);
	agenda_set(&a, &x, INT64_MAX);
	assert_ptr_equal(agenda_first(&a), &z);
	agenda_set(&a, &x, INT64_MIN);
	assert_ptr_equal(agenda_first(&a), &x);
	agenda_remove(&a, &x);
	agenda_remove(&a, &z);
	assert_null(agenda_first(&a));
	agenda_done(&a);
	agenda_done(&a);
	assert_null(a.heap);
}

static void test_in_order(void **state)
{
	static struct agenda_node nodes[NODES];
	struct agenda a = { 0 };
	int64_t last = -1;

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		agenda_set(&a, &nodes[i], roll(100));
	for (size_t i = 0; i < NODES; i++) {
		struct agenda_node *n = agenda_first(&a);

		assert_non_null(n);
		assert_true(n->due_at >= last);
		last = n->due_at;
		agenda_remove(&a, n);
	}
	assert_null(agenda_first(&a));
	agenda_done(&a);
}

static void test_random_operations(void **state)
{
	static struct agenda_node nodes[NODES];
	static int64_t due[NODES]; /* -1: not in it */
	struct agenda a = { 0 };

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		due[i] = -1;
	for (int step = 0; step < STEPS; step++) {
		uint32_t i = roll(NODES), n = 0;
		int64_t first = INT64_MAX;

		if (roll(3) == 0) {
			agenda_remove(&a, &nodes[i]);
			due[i] = -1;
		} else {
			due[i] = roll(1000);
			agenda_set(&a, &nodes[i], due[i]);
		}
		for (size_t k = 0; k < NODES; k++) {
			n += due[k] >= 0;
			if (due[k] >= 0 && due[k] < first)
				first = due[k];
		}
		assert_int_equal(a.n, n);
		if (n > 0)
			assert_int_equal(agenda_first(&a)->due_at, first);
		else
			assert_null(agenda_first(&a));
		if (step % 97 == 0)
			check_heap(&a);
	}
	agenda_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
