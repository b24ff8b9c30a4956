// SPDX-License-Identifier: MPL-2.0
/* look.c - where the database stands: status, places, doctor, cleanup. */
#include "lib/handle.h"

#include <stdio.h>
#include <string.h>

#include "node/control_call.h"
#include "node/doctor.h"
#include "node/withdraw.h"
#include "store/peer.h"

_Static_assert((int)DDCP_FINE == (int)DOCTOR_FINE
    && (int)DDCP_NOTE == (int)DOCTOR_NOTE
    && (int)DDCP_WARNING == (int)DOCTOR_WARNING
    && (int)DDCP_REFUSAL == (int)DOCTOR_REFUSAL, "one list of grades");

static int
count_knock(void *self, const struct store_knock *k)
{
	++*(uint64_t *)self;
	return 0;
}

int
ddcp_status(ddcp *d, ddcp_state *out, ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct store_status status;
	struct store_size size;
	uint64_t knocks = 0;
	int rc = store_status(d->store, &status, &err);

	if (rc == 0)
		rc = store_size(d->store, &size, &err);

	if (rc == 0)
		rc = store_knock_each(d->store, count_knock, &knocks, &err);
	if (rc == 0)
		*out = (ddcp_state){ .version = status.version,
			.tables = status.tables, .pending = status.pending,
			.parked = status.parked,
			.conflicts = status.conflicts, .knocks = knocks,
			.file_bytes = status.file_bytes,
			.metadata_bytes = size.bytes,
			.tombstones = size.tombstones,
			.metadata_exact = size.exact,
			.metadata_known = size.known,
			.serving = control_is_served(
			    store_state_dir(d->store)) };
	return lib_error(rc, &err, error);
}

struct parked_walk {
	int (*each)(void *self, const ddcp_parked *parked);
	void *self;
};

static int
give_parked(void *self, const char *table, const char *reason, uint64_t n)
{
	const struct parked_walk *w = self;
	ddcp_parked out = { .table = table, .reason = reason, .changes = n };

	return w->each(w->self, &out);
}

int
ddcp_parked_each(ddcp *d, int (*each)(void *self, const ddcp_parked *parked),
    void *self, ddcp_error *error)
{
	struct parked_walk w = { each, self };
	struct err err = { .code = 0 };

	return lib_error(store_parked_each(d->store, give_parked, &w, &err),
	    &err, error);
}

struct address_walk {
	int (*each)(void *self, const char *address);
	void *self;
};

static int
take_address(void *self, const json_t *line)
{
	const struct address_walk *w = self;

	return w->each(w->self, control_text(line, "place"));
}

int
ddcp_full_addresses(ddcp *d, int (*each)(void *self, const char *address),
    void *self, ddcp_error *error)
{
	struct address_walk w = { each, self };
	struct err err = { .code = 0 };
	bool ran;
	int rc = lib_idle(d, &err);

	if (rc != 0)
		return lib_error(rc, &err, error);
	rc = control_call(store_state_dir(d->store), json_pack("{s:s}", "verb",
	    "places"), take_address, &w, &d->stop, &ran, &err);
	if (rc == 0 && !ran)
		rc = err_set(&err, E_UNREACHABLE, "ddcp serve",
		    "no serve of this database runs");
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}

struct finding_walk {
	int (*each)(void *self, const ddcp_finding *finding);
	void *self;
};

static int
give_finding(void *self, const struct doctor_finding *f)
{
	const struct finding_walk *w = self;
	ddcp_finding out = { .grade = (enum ddcp_finding_grade)f->grade,
		.subject = f->subject, .rule = f->rule, .text = f->text,
		.hint = f->hint };

	return w->each(w->self, &out);
}

static int
take_finding(void *self, const json_t *line)
{
	const json_t *f = json_object_get(line, "finding");
	struct doctor_finding out = {
		.grade = (enum doctor_grade)control_number(f, "grade"),
		.subject = control_text(f, "subject"),
		.rule = control_text(f, "rule"),
		.text = control_text(f, "text"),
		.hint = control_text(f, "hint") };

	return f != NULL ? give_finding(self, &out) : 0;
}

int
ddcp_doctor(ddcp *d, const char *remote, int timeout_ms,
    int (*each)(void *self, const ddcp_finding *finding), void *self,
    ddcp_error *error)
{
	struct finding_walk w = { each, self };
	struct err err = { .code = 0 };
	int ms = lib_timeout(d, timeout_ms);
	bool ran;
	int rc = lib_idle(d, &err);

	if (rc == 0)
		rc = lib_remote_known(d, remote, &err);
	if (rc != 0)
		return lib_error(rc, &err, error);
	rc = control_call(store_state_dir(d->store), json_pack(
	    "{s:s, s:s, s:i}", "verb", "doctor", "remote",
	    remote != NULL ? remote : "", "timeout_ms", ms), take_finding, &w,
	    &d->stop, &ran, &err);
	if (rc == 0 && !ran)
		rc = doctor_run(d->store, remote, (uint32_t)ms, give_finding, &w,
		    &d->stop, &err);
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}

static int
take_cleaned(void *self, const json_t *line)
{
	const json_t *c = json_object_get(line, "cleaned");
	ddcp_cleaned *out = self;

	out->pages = (uint64_t)control_number(c, "pages");
	out->bytes = (uint64_t)control_number(c, "bytes");
	return 0;
}

static int
withdraw(ddcp *d, bool served, ddcp_cleaned *out, struct err *err)
{
	char value[8];
	bool on = false;
	int rc = store_config_get(d->store, "network.veilid", value,
	    sizeof value, err);

	if (rc == 0 && served) {
		if (strcmp(value, "on") == 0)
			out->withdrawn = DDCP_WITHDRAWN_KEPT;
		return 0;
	}
	if (rc == 0)
		rc = withdraw_run(d->store, (uint32_t)lib_timeout(d, 0), &on,
		    &d->stop, err);
	if (rc == 0 && on)
		out->withdrawn = DDCP_WITHDRAWN_DONE;
	if (!on || rc == 0 || rc == E_INTERRUPTED || rc == E_FATAL)
		return rc;
	out->withdrawn = DDCP_WITHDRAWN_LATER;
	snprintf(out->why, sizeof out->why, "%s", err->text);
	return 0;
}

int
ddcp_cleanup(ddcp *d, ddcp_cleaned *out, ddcp_error *error)
{
	struct err err = { .code = 0 };
	ddcp_cleaned cleaned = { 0 };
	bool ran;
	int rc = lib_idle(d, &err);

	if (rc != 0)
		return lib_error(rc, &err, error);
	rc = control_call(store_state_dir(d->store), json_pack("{s:s}", "verb",
	    "cleanup"), take_cleaned, &cleaned, &d->stop, &ran, &err);
	if (rc == 0 && !ran)
		rc = store_cleanup(d->store, &cleaned.pages, &cleaned.bytes,
		    &err);
	if (rc == 0)
		rc = withdraw(d, ran, &cleaned, &err);
	if (out != NULL)
		*out = cleaned;
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}
