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

dnl FH_TIME_64
dnl On 32 bits, adds what makes time_t and off_t 64 bits wide to FH_CFLAGS: without it times end in
dnl 2038 and files at 2 GiB. (AC_SYS_YEAR2038 needs autoconf 2.72 and a config.h that all sources
dnl include first.)
m4_define([FH_WIDE], [AC_LANG_PROGRAM([[#include <sys/types.h>
#include <time.h>]], [[char t[sizeof(time_t) >= 8 ? 1 : -1], o[sizeof(off_t) >= 8 ? 1 : -1];
return (sizeof t != sizeof o);]])])

AC_DEFUN([FH_TIME_64], [
AC_SUBST([FH_CFLAGS])
AC_MSG_CHECKING([what makes times and sizes of files 64 bits wide])
fh_saved=$CFLAGS fh_wide=no
for fh_flags in "" "-D_FILE_OFFSET_BITS=64" "-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64"; do
	CFLAGS="$fh_saved $fh_flags"
	AC_COMPILE_IFELSE([FH_WIDE], [fh_wide=yes; break])
done
CFLAGS=$fh_saved
AS_IF([test $fh_wide = no],
	[AC_MSG_RESULT([nothing])
	AC_MSG_ERROR([time_t has 32 bits here: glibc 2.34 or newer is needed on such a machine])])
AC_MSG_RESULT([${fh_flags:-nothing needed}])
FH_CFLAGS="$FH_CFLAGS${FH_CFLAGS:+${fh_flags:+ }}$fh_flags"
])
