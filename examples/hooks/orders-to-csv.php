#!/usr/bin/env php
<?php
// A hook of fluidhook: appends each new order to a CSV file. man 7 fluidhook-hooks
//
// Needs PHP 8.1 or later (Debian: php-cli). To use it, as root:
//
//	install -m 0755 orders-to-csv.php /etc/fluidhook/hooks/order.created
//
// The worker's user must be able to write into the directory below; the worker's systemd unit makes it.
// Fluid has to deliver orders: "subscribe = order.created" in [worker] of fluidhook.conf.
//
// The exit status says what becomes of the delivery. 0: done. Anything else: the worker runs this
// again, 10 s later and then ever more rarely, and gives it up after 12 attempts. It can also run
// again after a crash although it was done, and several can run at once (concurrency). So one at a
// time has the file, and an order that stands in it already is not written again.
declare(strict_types=1);

const FILE = '/var/lib/fluidhook-hooks/orders.csv';

// The columns behind received_at and shop, and where their values stand in an order. The first one is
// what tells orders apart. After a change here, begin a new file.
const COLUMNS = [
	'order_id' => ['id'],
	'status' => ['status'],
	'total' => ['total'],
	'currency' => ['currency'],
	'customer_email' => ['customer', 'email'],
];

/** The order in a body, which is flat or has everything in its payload. */
function order_of(string $json): array
{
	// Half of a surrogate pair stands for no character (somebody has cut an emoji in two), and PHP
	// would refuse the whole body for it. All other escapes are passed over.
	$json = preg_replace('~\\\\(?:[^u]|u(?!d[89a-f])|ud[89ab]..\\\\ud[c-f])(*SKIP)(*F)|\\\\u....~i',
		'\\ufffd', $json);
	$body = json_decode($json, true, flags: JSON_BIGINT_AS_STRING | JSON_THROW_ON_ERROR);
	$order = $body['order'] ?? $body['payload']['order'] ?? null;
	if (!is_array($order)) {
		throw new RuntimeException('no order in the body');
	}
	return $order;
}

/**
 * A value as a cell that nothing happens to when a spreadsheet opens the file. What customers type
 * comes this way, and a cell that begins with one of =+-@ is run as a formula. Some spreadsheets
 * split at ; instead of the comma, hence not only at the beginning. An apostrophe makes it a text.
 */
function cell(mixed $value): string
{
	if (is_float($value)) {
		$value = json_encode($value);
	}
	$text = is_scalar($value) ? trim(preg_replace('/\p{Cc}+/u', ' ', (string)$value)) : '';
	if (preg_match('/^-?\d+(\.\d+)?$/', $text)) {
		return $text;
	}
	return preg_replace('/(^|[;,|"])([\p{Z}\p{Cf}]*[=+\-@＝＋－＠])/u', "$1'$2", $text);
}

/** The cells of an order's row. */
function row_of(array $order): array
{
	$row = [cell(getenv('FLUIDHOOK_RECEIVED_AT')), cell(getenv('FLUIDHOOK_SHOP'))];
	foreach (COLUMNS as $path) {
		$value = $order;
		foreach ($path as $key) {
			$value = is_array($value) ? $value[$key] ?? null : null;
		}
		$row[] = cell($value);
	}
	return $row;
}

function line_of(array $row): string
{
	return implode(',', array_map(fn($text) => '"' . str_replace('"', '""', $text) . '"', $row)) . "\n";
}

/**
 * Append the row, unless the order of that shop is in the file. A hundred thousand rows are looked
 * through within a second; for more, put the month into the file's name.
 */
function append(array $row): void
{
	[, $shop, $id] = $row;
	$head = line_of(['received_at', 'shop', ...array_keys(COLUMNS)]);
	$file = fopen(FILE, 'c+');
	flock($file, LOCK_EX);		// ends with the file, or with this program
	$end = 0;
	// A line without its end was left by a crash. It is written over, as no one said it was done.
	while (($line = fgets($file)) !== false && str_ends_with($line, "\n")) {
		if ($end === 0 && $line !== $head) {
			throw new RuntimeException(FILE . ' has other columns: move it away');
		}
		$there = str_getcsv($line, ',', '"', '');
		if ($there[1] === $shop && $there[2] === $id) {
			return;
		}
		$end += strlen($line);
	}
	ftruncate($file, $end);
	fseek($file, $end);
	$text = ($end === 0 ? $head : '') . line_of($row);
	if (fwrite($file, $text) !== strlen($text) || !fflush($file) || !fsync($file)) {
		ftruncate($file, $end);
		throw new RuntimeException(FILE . ' cannot be written');
	}
}

// Whatever PHP would only warn of is a failure, and nothing of the order gets into the log.
set_error_handler(fn($level, $message) => throw new ErrorException($message));
try {
	$row = row_of(order_of(stream_get_contents(STDIN)));
	if ($row[2] === '') {
		throw new RuntimeException('the order has no id');
	}
	append($row);
} catch (Throwable $e) {
	fwrite(STDERR, $e->getMessage() . "\n");
	exit(1);
}
