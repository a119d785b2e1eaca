/* The policy service: what Postfix' check_policy_service asks, one request after the other on each
 * of its connections. What isn't understood is closed without an answer, as Postfix wants it. */
#pragma once

#include "filter/filter.h"

struct policy_service;

/* Accepts from `fd`, not owned. Out of memory ends the program. */
struct policy_service *policy_service_create(struct filter *f, int fd);

/* What is under way is given up. */
void policy_service_destroy(struct policy_service **s);
