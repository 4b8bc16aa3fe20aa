/* SPDX-License-Identifier: Apache-2.0 */
/* The network between the daemon, the CA, web servers and dvcertctl. What has left arrives even when its sender dies. */
#pragma once

#include "common/base.h"

/* --- the web, as everybody sees it --- */

enum web_kind { WEB_NOTHING, WEB_ROOT, WEB_RESPONDER, WEB_DOWN };

/* Who answers for http://name/; root is borrowed. */
enum web_kind world_web(const char *name, const char **ret_root);
/* The status of http://name/.well-known/pki-validation/fileauth.txt: 200 with the text in buf, another one, or 0 when
 * nobody answers. */
int web_get(const char *name, char *buf, size_t cap);

/* --- what comes to the daemon from outside --- */

/* False when it does not listen (yet). */
bool net_signal(int signum);
/* One line on the control socket. False when nobody listens. */
bool net_control(const char *line);

/* --- the end of a life --- */
void net_forget_daemon(void);
void loop_forget(void);
void sockets_forget(void);
