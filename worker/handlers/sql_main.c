/*
 * sql_main.c - the handlers of the program ox-handler-sql: a program of its own, because libpq
 * brings libraries for Kerberos, LDAP and TLS to every child.
 */
#include "sql.h"

const struct handler *const handlers[] = {
    &sql_handler,
    NULL,
};
