/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer of any name server: the first byte picks the type that was asked for, the rest is the message. Checked: what
 * a parsed answer promises, and that a name that was read can be asked for again. */
#include "common/mem.h"
#include "daemon/io/dnsmsg.h"

#include <errno.h>

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t max)
{
	size_t n = 0;

	for (; s[n]; n++)
		CHECK((unsigned char)s[n] >= 0x20 && s[n] != 0x7f);
	CHECK(n < max);
}

static void check_name(const char *s)
{
	unsigned char wire[DNS_QUERY_MAX];
	size_t len = 0;

	check_text(s, DNS_NAME_TEXT_MAX);
	if (s[0] != '\0') /* the root */
		CHECK(dns_query_build(s, DNS_A, true, 1, wire, &len, NULL) == 0 && len <= sizeof wire);
}

static void check_answer(const struct dns_answer *a, enum dns_type type)
{
	bool is_name = type == DNS_NS || type == DNS_CNAME;

	check_name(a->owner);
	if (a->cname)
		check_name(a->cname);
	check_text(a->outcome.message, OUTCOME_MESSAGE_MAX);
	CHECK(a->n_values <= DNS_VALUES_MAX);
	CHECK(a->outcome.fault == FAULT_NONE || (a->n_values == 0 && a->outcome.code[0] != '\0'));
	CHECK(!a->cname || type != DNS_CNAME);
	for (size_t i = 0; i < a->n_values; i++)
		if (is_name)
			check_name(a->values[i]);
		else
			check_text(a->values[i], DNS_VALUE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_parsed *p = NULL;
	struct err err = ERR_INIT;
	enum dns_type type = DNS_A;
	int r = 0;

	if (size < 1)
		return 0;
	type = (enum dns_type)(data[0] % (DNS_CAA + 1));
	r = dns_parse(data + 1, size - 1, type, &p, &err);
	CHECK(r == 0 ? p != NULL : (r == -EBADMSG && !p && err.text[0] != '\0'));
	if (p)
		check_answer(dns_parsed_answer(p), type);
	dns_parsed_free(p);
	return 0;
}
