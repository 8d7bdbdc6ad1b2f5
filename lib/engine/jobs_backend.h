/*
 * jobs_backend.h - the jobs of a queue, as an engine takes and ends them: by the scripts of
 * lib/lua. Only this, jobs_take.h and job_ops.h know these.
 */
#ifndef OX_LIB_JOBS_BACKEND_H
#define OX_LIB_JOBS_BACKEND_H

#include "engine/jobs_take.h"

extern const struct ox__backend ox__jobs_backend;

#endif /* OX_LIB_JOBS_BACKEND_H */
