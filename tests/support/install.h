/*
 * install.h - Ox as a newcomer has it: installed into a folder, and programs compiled against
 * that by what pkg-config says and nothing else.
 */
#ifndef OX_TESTS_INSTALL_H
#define OX_TESTS_INSTALL_H

/** Installs the build into a fresh folder, below usr. The folder's path is the caller's
 *  (g_free). Runs from the top folder of the source. */
char *test_install(void);

/** Compiles `source`, warnings being errors, to a program in the installed folder; its path is
 *  the caller's (g_free). `packages`: for pkg-config, "ox libuv". */
char *test_compile(const char *installed, const char *source, const char *packages);

/** Lets programs that are started from now on find the installed library. */
void test_use_installed(const char *installed);

#endif /* OX_TESTS_INSTALL_H */
