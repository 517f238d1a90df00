#!/bin/sh
# For make check: the parser of deliveries over its corpus. The program says what came of it in TAP.
exec "${top_builddir:?}/tests/fuzz/fuzz_delivery" "${top_srcdir:?}/tests/fuzz/corpus"
