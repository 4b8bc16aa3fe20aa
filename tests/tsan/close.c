/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into every program of a TSAN=1 build. libuv closes descriptors by syscall(2), which ThreadSanitizer does not look at: it
 * would take whoever is given the number next for a user of the old descriptor, and report a race that is none. Here it is
 * told. Nothing else is changed. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sanitizer/linux_syscall_hooks.h, which gcc does not bring. */
void __sanitizer_syscall_pre_impl_close(long fd);

typedef long (*call_fn)(long number, ...);

long syscall(long number, ...)
{
	static _Atomic(call_fn) real;
	long a[6];
	va_list ap;

	/* No call has more than six. Those that are not there mean nothing to the kernel. */
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!real)
		real = (call_fn)dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_close)
		__sanitizer_syscall_pre_impl_close(a[0]);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
