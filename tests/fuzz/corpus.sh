#!/bin/sh
# For make check: each fuzz target over its corpus, one result each.
echo 1..2
"${top_builddir:?}/tests/fuzz/fuzz_delivery" "${top_srcdir:?}/tests/fuzz/corpus" | sed 's/^/ok 1 - deliveries: /'
"$top_builddir/tests/fuzz/fuzz_arrival" "$top_srcdir/tests/fuzz/corpus_arrival" | sed 's/^/ok 2 - FastCGI records: /'
