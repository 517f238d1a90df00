<?php
// The receiver's durable job in PHP, for script/bench: verify the HMAC, append the delivery to a
// journal, fdatasync, then 200. A process of PHP-FPM serves one request at a time, and processes
// share nothing: each delivery needs a sync of its own.
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
	exit("{\"status\":\"ok\"}\n");
}
$key = getenv('BENCH_KEY');
$timestamp = $_SERVER['HTTP_X_FLUID_TIMESTAMP'] ?? '';
$signature = $_SERVER['HTTP_X_FLUID_SIGNATURE'] ?? '';
$body = file_get_contents('php://input');

if (!ctype_digit($timestamp) || abs(time() - (int)$timestamp) > 300 ||
    !hash_equals(hash_hmac('sha256', "$timestamp.$body", $key), $signature)) {
	http_response_code(401);
	exit;
}
// One write, which O_APPEND keeps in one piece: "timestamp signature length", the body.
$entry = "$timestamp $signature " . strlen($body) . "\n$body\n";
$journal = fopen(getenv('BENCH_JOURNAL'), 'ab');
if (!$journal || fwrite($journal, $entry) !== strlen($entry) || !fdatasync($journal)) {
	http_response_code(503);
	exit;
}
header('Content-Type: application/json');
echo "{\"status\":\"accepted\"}\n";
