/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a program in words. */
#include "daemon/io/program.h"

#include <errno.h>
#include <string.h>

#define EXIT_TEMPFAIL 75 /* sysexits.h */
#define SAID_MAX      180 /* bytes of the output in a message, which names the program too; its end says most */
#define WORD_MAX      40

/* What to do about a program that does not start. */
static const char *remedy(int start_error)
{
	switch (-start_error) {
	case EPERM:
		return "it must belong to root or to the daemon's user, and only its owner may write to it";
	case EACCES: return "it must be a file that the daemon's user may execute";
	case ENOENT: return "neither it nor the interpreter in its first line may be missing";
	case EINVAL: return "it must be named by its whole path";
	case ENOEXEC: return "it is neither a binary of this machine nor a script that begins with #!";
	default: return "look at the limits of the daemon's service";
	}
}

/* The end of what the program said, from a word on when one begins soon, else not from the middle of a character. */
static const char *last_words(const char *output)
{
	size_t len = strlen(output);
	const char *p = output;
	const char *blank = NULL;

	if (len <= SAID_MAX)
		return output;
	p += len - SAID_MAX;
	blank = memchr(p, ' ', WORD_MAX);
	if (blank)
		return blank + 1;
	while (((unsigned char)*p & 0xc0) == 0x80)
		p++;
	return p;
}

void program_outcome(const struct child_result *r, const char *program, const char *what, int64_t timeout_s,
		     struct outcome *ret)
{
	const char *said = last_words(r->output);
	const char *colon = said[0] != '\0' ? ": " : "";

	*ret = (struct outcome)OUTCOME_OK;
	if (r->start_error != 0)
		(void)outcome_set(ret, FAULT_LOCAL, "exec", "cannot run %.120s: %s; %s", program,
				  strerror(-r->start_error), remedy(r->start_error));
	else if (r->timed_out)
		(void)outcome_set(ret, FAULT_UNCLEAR, "timeout", "%.120s%s did not end within %lld s%s%s",
				  program, what, (long long)timeout_s, colon, said);
	else if (r->signal != 0)
		(void)outcome_set(ret, FAULT_UNCLEAR, "signal", "%.120s%s was ended by signal %d%s%s",
				  program, what, r->signal, colon, said);
	else if (r->exit_code == EXIT_TEMPFAIL)
		(void)outcome_set(ret, FAULT_UNCLEAR, "later", "%.120s%s asks to be called again later%s%s",
				  program, what, colon, said);
	else if (r->exit_code != 0)
		(void)outcome_set(ret, FAULT_UNCLEAR, "exit", "%.120s%s failed with exit code %d%s%s",
				  program, what, r->exit_code, colon, said);
}
