/* SPDX-License-Identifier: Apache-2.0 */
/* Tries what a unit may or may not let its processes do. One line each: NAME=ok (it worked) or NAME=ERRNO or NAME=signal N.
 * tests/systemd/test_hardening.py runs it in the shipped unit and in an open one, and has the table of what is expected. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE "/var/lib/dvcertd"

/* Each returns 0 or more when it worked, else -1 with errno. What it leaves behind ends with its process, or is removed. */

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int result(long r)
{
	return r < 0 ? -1 : 0;
}

/* --- files --- */

static int write_in(const char *dir)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/probe.tmp", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

static int write_usr(void)
{
	return write_in("/usr");
}

static int write_etc(void)
{
	return write_in("/etc");
}

static int write_run(void)
{
	return write_in("/run");
}

static int write_root(void)
{
	return write_in("/");
}

static int write_state(void)
{
	return write_in(STATE);
}

static int write_runtime(void)
{
	return write_in("/run/dvcertd");
}

static int write_webroot(void)
{
	return write_in("/var/www/html/.well-known/pki-validation");
}

static int write_tmp(void)
{
	return write_in("/tmp");
}

static int see(const char *path)
{
	return access(path, F_OK);
}

static int see_srv(void)
{
	return see("/srv/marker");
}

static int see_home(void)
{
	return see("/home/marker");
}

static int see_root_home(void)
{
	return see("/root/marker");
}

static int see_other_state(void)
{
	return see("/var/lib/marker");
}

static int see_shared_tmp(void)
{
	return see("/tmp/marker");
}

static int see_log(void)
{
	return see("/var/log/journal");
}

static int see_config(void)
{
	return open("/etc/dvcertd/dvcertd.yaml", O_RDONLY | O_CLOEXEC);
}

static int see_other_process(void)
{
	return see("/proc/1/status");
}

static int see_cpuinfo(void)
{
	return see("/proc/cpuinfo");
}

static int see_credentials_of_others(void)
{
	return see("/run/credentials/other.service");
}

static int write_proc_sys(void)
{
	return open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
}

static int write_cgroup(void)
{
	return mkdir("/sys/fs/cgroup/probe", 0755) == 0 ? rmdir("/sys/fs/cgroup/probe") : -1;
}

static int make_device(void)
{
	const char *path = STATE "/null";

	if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) < 0)
		return -1;
	return unlink(path);
}

static int set_uid_bit(void)
{
	const char *path = STATE "/probe.suid";
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), r, error;

	if (fd < 0)
		return -1;
	r = fchmod(fd, 04755);
	error = errno;
	(void)unlink(path);
	return r < 0 ? refuse(error) : 0;
}

static int set_gid_bit(void)
{
	if (mkdir(STATE "/probe.sgid", 02755) < 0)
		return -1;
	return rmdir(STATE "/probe.sgid");
}

static int change_owner(void)
{
	const char *path = STATE "/probe.chown";
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), r, error;

	if (fd < 0)
		return -1;
	r = fchown(fd, 1, 1);
	error = errno;
	(void)unlink(path);
	return r < 0 ? refuse(error) : 0;
}

static int call_openat2(void)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };

	return result(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how)));
}

/* --- programs --- */

static int run(const char *path)
{
	int status = 0, error = 0, p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)execl(path, path, (char *)NULL);
		error = errno;
		(void)!write(p[1], &error, sizeof(error));
		_exit(1);
	}
	(void)close(p[1]);
	if (read(p[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	(void)close(p[0]);
	(void)waitpid(pid, &status, 0);
	return error ? refuse(error) : 0;
}

static int copy_and_run(const char *to)
{
	char buf[65536];
	int in = open("/bin/true", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0700);
	int r, error;
	ssize_t n;

	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		(void)!write(out, buf, (size_t)n);
	(void)close(in);
	(void)close(out);
	r = run(to);
	error = errno;
	(void)unlink(to);
	return r < 0 ? refuse(error) : 0;
}

static int exec_usr(void)
{
	return run("/usr/bin/true");
}

static int exec_bin(void)
{
	return run("/bin/true");
}

static int exec_usr_local(void)
{
	return run("/usr/local/bin/probe-true");
}

static int exec_state(void)
{
	return copy_and_run(STATE "/probe.true");
}

static int exec_tmp(void)
{
	return copy_and_run("/tmp/probe.true");
}

static int exec_webroot(void)
{
	return copy_and_run("/var/www/html/.well-known/pki-validation/probe.true");
}

/* --- network --- */

static int new_socket(int family, int type)
{
	return socket(family, type | SOCK_CLOEXEC, 0);
}

static int af_unix(void)
{
	return new_socket(AF_UNIX, SOCK_STREAM);
}

static int af_inet(void)
{
	return new_socket(AF_INET, SOCK_STREAM);
}

static int af_inet6(void)
{
	return new_socket(AF_INET6, SOCK_STREAM);
}

static int af_packet(void)
{
	return new_socket(AF_PACKET, SOCK_RAW);
}

static int af_netlink(void)
{
	return new_socket(AF_NETLINK, SOCK_RAW);
}

static int af_vsock(void)
{
	return new_socket(AF_VSOCK, SOCK_STREAM);
}

static int raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
}

static int send4(const char *ip)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		return -1;
	return result(sendto(fd, "x", 1, 0, (const struct sockaddr *)&a, sizeof(a)));
}

static int send6(const char *ip, unsigned scope)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_scope_id = scope };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET6, ip, &a.sin6_addr) != 1)
		return -1;
	return result(sendto(fd, "x", 1, 0, (const struct sockaddr *)&a, sizeof(a)));
}

static int send_loopback(void)
{
	return send4("127.0.0.1");
}

static int send_loopback6(void)
{
	return send6("::1", 0);
}

static int send_public(void)
{
	return send4("198.51.100.1");
}

static int send_private(void)
{
	return send4("10.1.2.3");
}

static int send_public6(void)
{
	return send6("2001:db8::1", 0);
}

static int send_unique_local6(void)
{
	return send6("fd00::1", 0);
}

static int send_metadata(void)
{
	return send4("169.254.169.254");
}

static int send_link_local6(void)
{
	return send6("fe80::1", 1); /* lo */
}

static int send_multicast(void)
{
	return send4("224.0.0.251");
}

static int low_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(81) };
	int fd = new_socket(AF_INET, SOCK_STREAM);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&a, sizeof(a));
}

/* --- the kernel --- */

static int map_write_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static int new_user_ns(void)
{
	return unshare(CLONE_NEWUSER);
}

static int new_net_ns(void)
{
	return unshare(CLONE_NEWNET);
}

static int new_mount_ns(void)
{
	return unshare(CLONE_NEWNS);
}

static int new_pid_ns(void)
{
	return unshare(CLONE_NEWPID);
}

static int new_ipc_ns(void)
{
	return unshare(CLONE_NEWIPC);
}

static int new_uts_ns(void)
{
	return unshare(CLONE_NEWUTS);
}

static int new_cgroup_ns(void)
{
	return unshare(CLONE_NEWCGROUP);
}

static int do_mount(void)
{
	int r = mount("none", "/mnt", "tmpfs", 0, NULL), error = errno;

	(void)umount("/mnt");
	return r < 0 ? refuse(error) : 0;
}

static int do_chroot(void)
{
	return chroot("/usr");
}

static int set_clock(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return clock_settime(CLOCK_REALTIME, &t);
}

static int set_hostname(void)
{
	char name[65] = "";

	(void)gethostname(name, sizeof(name) - 1);
	return sethostname(name, strlen(name));
}

static int set_personality(void)
{
	return result(personality(PER_LINUX32));
}

static int set_real_time(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_FIFO, &p);
}

static int set_priority(void)
{
	return setpriority(PRIO_PROCESS, 0, -5);
}

static int set_user(void)
{
	return setuid(1);
}

static int call_keyctl(void)
{
	return result(syscall(SYS_keyctl, 0, -3, 1));
}

static int call_bpf(void)
{
	char attr[128] = { 0 };
	long r = syscall(SYS_bpf, 0, attr, sizeof(attr));

	return r < 0 && errno != EINVAL ? -1 : 0; /* EINVAL: looked at */
}

static int call_perf(void)
{
	char attr[128] = { 0 };
	long r = syscall(SYS_perf_event_open, attr, 0, -1, -1, 0);

	return r < 0 && (errno == EPERM || errno == EACCES) ? -1 : 0;
}

static int call_io_uring(void)
{
	char params[120] = { 0 };

	return result(syscall(SYS_io_uring_setup, 4, params));
}

static int call_userfaultfd(void)
{
	return result(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int load_module(void)
{
	long r = syscall(SYS_init_module, NULL, 0, "");

	return r < 0 && errno != EFAULT && errno != ENOEXEC ? -1 : 0;
}

static int trace_child(void)
{
	pid_t pid = fork();
	long r;
	int error;

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	r = ptrace(PTRACE_ATTACH, pid, NULL, NULL);
	error = errno;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return r < 0 ? refuse(error) : 0;
}

static int raw_disk(void)
{
	const char *path = STATE "/disk";
	int fd, error;

	if (mknod(path, S_IFBLK | 0600, makedev(7, 0)) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	(void)unlink(path);
	return fd < 0 ? refuse(error) : 0;
}

static int old_system_calls(void)
{
#ifdef __x86_64__
	long r;

	/* getpid by the gate of 32 bit programs */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? refuse((int)-r) : 0;
#else
	return 0;
#endif
}

/* --- what the process is --- */

static int any_capability(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long bits = 0, all = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Cap", 3) == 0 && sscanf(strchr(line, ':') + 1, "%llx", &bits) == 1)
			all |= bits;
	}
	if (f)
		(void)fclose(f);
	return all ? 0 : refuse(EPERM);
}

static int new_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : refuse(EPERM);
}

static int core_file(void)
{
	struct rlimit l;

	return getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max > 0 ? 0 : refuse(EPERM);
}

static int is_root(void)
{
	return geteuid() == 0 ? 0 : refuse(EPERM);
}

static int umask_open(void)
{
	return (umask(0) & 077) == 077 ? refuse(EPERM) : 0;
}

#define PROBE(fn)                                                                                            \
	{                                                                                                    \
#fn, fn                                                                                      \
	}

static const struct {
	const char *name;
	int (*fn)(void);
} PROBES[] = {
	PROBE(write_usr),	 PROBE(write_etc),
	PROBE(write_run),	 PROBE(write_root),
	PROBE(write_state),	 PROBE(write_runtime),
	PROBE(write_webroot),	 PROBE(write_tmp),
	PROBE(see_srv),		 PROBE(see_home),
	PROBE(see_root_home),	 PROBE(see_other_state),
	PROBE(see_shared_tmp),	 PROBE(see_log),
	PROBE(see_config),	 PROBE(see_other_process),
	PROBE(see_cpuinfo),	 PROBE(see_credentials_of_others),
	PROBE(write_proc_sys),	 PROBE(write_cgroup),
	PROBE(make_device),	 PROBE(set_uid_bit),
	PROBE(set_gid_bit),	 PROBE(change_owner),
	PROBE(call_openat2),	 PROBE(exec_usr),
	PROBE(exec_bin),	 PROBE(exec_usr_local),
	PROBE(exec_state),	 PROBE(exec_tmp),
	PROBE(exec_webroot),	 PROBE(af_unix),
	PROBE(af_inet),		 PROBE(af_inet6),
	PROBE(af_packet),	 PROBE(af_netlink),
	PROBE(af_vsock),	 PROBE(raw_socket),
	PROBE(send_loopback),	 PROBE(send_loopback6),
	PROBE(send_public),	 PROBE(send_private),
	PROBE(send_public6),	 PROBE(send_unique_local6),
	PROBE(send_metadata),	 PROBE(send_link_local6),
	PROBE(send_multicast),	 PROBE(low_port),
	PROBE(map_write_exec),	 PROBE(new_user_ns),
	PROBE(new_net_ns),	 PROBE(new_mount_ns),
	PROBE(new_pid_ns),	 PROBE(new_ipc_ns),
	PROBE(new_uts_ns),	 PROBE(new_cgroup_ns),
	PROBE(do_mount),	 PROBE(do_chroot),
	PROBE(set_clock),	 PROBE(set_hostname),
	PROBE(set_personality),	 PROBE(set_real_time),
	PROBE(set_priority),	 PROBE(set_user),
	PROBE(call_keyctl),	 PROBE(call_bpf),
	PROBE(call_perf),	 PROBE(call_io_uring),
	PROBE(call_userfaultfd), PROBE(load_module),
	PROBE(trace_child),	 PROBE(raw_disk),
	PROBE(old_system_calls), PROBE(any_capability),
	PROBE(new_privileges),	 PROBE(core_file),
	PROBE(is_root),		 PROBE(umask_open),
};

/* Each in a process of its own: a filter may kill it. */
static void try(const char *name, int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int r = fn();
		int error = errno;

		if (r >= 0)
			printf("%s=ok\n", name);
		else
			printf("%s=%s\n", name, strerrorname_np(error));
		_exit(0); /* stdout has no buffer */
	}
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s=signal %d\n", name, WTERMSIG(status));
}

int main(void)
{
	(void)setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(PROBES) / sizeof(PROBES[0]); i++)
		try(PROBES[i].name, PROBES[i].fn);
	return 0;
}
