/* SPDX-License-Identifier: Apache-2.0 */
/* Further certificates of an order (reissue, duplicate, and the lists of both), and changes of its validation
 * (method, e-mails once more). */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

void changes_reissue(struct sandbox *sb, const struct request *rq, struct reply *rp);
void changes_duplicate(struct sandbox *sb, const struct request *rq, struct reply *rp);
void changes_list_reissues(struct sandbox *sb, const struct request *rq, struct reply *rp);
void changes_list_duplicates(struct sandbox *sb, const struct request *rq, struct reply *rp);
void changes_dcv_method(struct sandbox *sb, const struct request *rq, struct reply *rp);
void changes_resend_emails(struct sandbox *sb, const struct request *rq, struct reply *rp);
