dnl FH_LIBRARY(PREFIX, MODULE, DEBIAN-PACKAGE)
dnl PREFIX_CFLAGS and PREFIX_LIBS by pkg-config, or a line in $missing.
AC_DEFUN([FH_LIBRARY], [
	PKG_CHECK_MODULES([$1], [$2], [], [missing="$missing
  $2 (Debian: $3)"])
])

dnl FH_ADD_CFLAGS(FLAGS), FH_ADD_LDFLAGS(FLAGS)
dnl Adds each of the flags that the compiler takes without a warning to FH_CFLAGS or FH_LDFLAGS.
dnl The program includes a header and copies memory so that _FORTIFY_SOURCE is tried as well: it
dnl warns without optimization, and where it is already set to something else.
m4_define([FH_TRY], [AC_LANG_PROGRAM([[#include <stdio.h>
#include <string.h>]], [[char b[16]; memset(b, 0, sizeof b); return (puts(b) < 0);]])])

AC_DEFUN([FH_ADD_CFLAGS], [
AC_SUBST([FH_CFLAGS])
for fh_flag in $1; do
	AC_MSG_CHECKING([whether $CC takes $fh_flag])
	fh_saved=$CFLAGS
	CFLAGS="$CFLAGS -Werror $FH_CFLAGS $fh_flag"
	AC_COMPILE_IFELSE([FH_TRY],
		[AC_MSG_RESULT([yes]); FH_CFLAGS="$FH_CFLAGS${FH_CFLAGS:+ }$fh_flag"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$fh_saved
done
])

AC_DEFUN([FH_ADD_LDFLAGS], [
AC_SUBST([FH_LDFLAGS])
for fh_flag in $1; do
	AC_MSG_CHECKING([whether the linker takes $fh_flag])
	fh_saved_c=$CFLAGS fh_saved_ld=$LDFLAGS
	CFLAGS="$CFLAGS -Werror $FH_CFLAGS"
	LDFLAGS="$LDFLAGS $FH_LDFLAGS $fh_flag"
	AC_LINK_IFELSE([FH_TRY],
		[AC_MSG_RESULT([yes]); FH_LDFLAGS="$FH_LDFLAGS${FH_LDFLAGS:+ }$fh_flag"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$fh_saved_c LDFLAGS=$fh_saved_ld
done
])
