<?php
// The lines that the PHP system wrote, by PHP itself: each case becomes a message
// of format 0, or 1 where it has a timestamp, as a broker stores it, is decoded as
// the old consumer did, and goes through json_encode.
//
//   php original.php < CASES      one line for each case
//   php original.php vectors      fixed cases, each followed by its line
//
// A case: the offset, the key, the value; bytes as x and hex digits, null as -;
// and perhaps the timestamp and the attributes.

declare(strict_types=1);

if (crc32('123456789') !== 0xcbf43926) {
    fwrite(STDERR, "this PHP's crc32 is not CRC-32 as an unsigned number\n");
    exit(1);
}

function message_set(int $offset, ?string $key, ?string $value, ?int $timestamp, int $attr): string
{
    $rest = $timestamp === null ? pack('CC', 0, $attr) : pack('CCJ', 1, $attr, $timestamp);
    foreach ([$key, $value] as $field) {
        $rest .= $field === null ? pack('N', 0xffffffff) : pack('N', strlen($field)) . $field;
    }
    $message = pack('N', crc32($rest)) . $rest;
    return pack('JN', $offset, strlen($message)) . $message;
}

// The old consumer made an empty string of null.
function take_bytes(string $from, int &$at): string
{
    $length = unpack('N', $from, $at)[1];
    $at += 4;
    if ($length === 0xffffffff) {
        return '';
    }
    $at += $length;
    return substr($from, $at - $length, $length);
}

function line(string $set): string
{
    $head = unpack('Joffset/Nsize/Ncrc/Cmagic/Cattr', $set);
    $at = 18;
    $message = ['crc' => $head['crc'], 'magic' => $head['magic'], 'attr' => $head['attr'], 'timestamp' => 0];
    if ($head['magic'] >= 1) {
        $message['timestamp'] = unpack('J', $set, $at)[1];
        $at += 8;
    }
    $message['key'] = take_bytes($set, $at);
    $message['value'] = take_bytes($set, $at);
    $seen = ['offset' => $head['offset'], 'size' => $head['size'], 'message' => $message];
    return 'consumer_message:' . json_encode($seen) . "\n";
}

function of_case(string $case): string
{
    [$offset, $key, $value, $timestamp, $attr] = explode(' ', trim($case)) + [3 => null, 4 => '0'];
    $bytes = fn (string $text) => $text === '-' ? null : hex2bin(substr($text, 1));
    $timestamp = $timestamp === null ? null : (int) $timestamp;
    return line(message_set((int) $offset, $bytes($key), $bytes($value), $timestamp, (int) $attr));
}

function vectors(): iterable
{
    $ascii = implode('', array_map('chr', range(0, 127)));
    yield [0, null, null];
    yield [1, '', ''];
    yield [2, null, ''];
    yield [3, '', null];
    yield [PHP_INT_MAX, 'key', 'value'];
    yield [4, null, $ascii];
    yield [5, $ascii, null];
    foreach (str_split($ascii) as $at => $one) {
        yield [128 + $at, null, $one];
    }
    // The first and the last of each length, the surrogates' neighbours, what other
    // encoders treat apart.
    $points = [0x7f, 0x80, 0xff, 0x7ff, 0x800, 0x2028, 0x2029, 0xd7ff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0xfffe,
        0xffff, 0x10000, 0x1f600, 0x1ffff, 0xfffff, 0x100000, 0x10ffff];
    foreach ($points as $point) {
        yield [$point, null, 'a' . utf8($point) . 'z'];
    }
    yield [6, null, implode('', array_map('utf8', $points))];
    yield [7, 'k/"\\', '{"user":"J\u00fcrgen","path":"a\/b","n":[1,2.50,null,true],"t":"</script>&\'"}'];
    yield [8, null, "  two lines\r\nand a tab\t "];
    yield [9, null, str_repeat("0123456789/\u{e4}\u{1f600}\n", 100)];
    yield [10, null, '0'];
    yield [11, 'null', 'false'];
    foreach ([0, -1, 1, 1448496000123, PHP_INT_MAX, PHP_INT_MIN] as $timestamp) {
        yield [12, null, null, $timestamp, 0];
        yield [13, 'key', "v\u{fc}", $timestamp, 8];
    }
}

function utf8(int $point): string
{
    $tail = fn (int $shift) => chr(0x80 | $point >> $shift & 0x3f);
    return match (true) {
        $point < 0x80 => chr($point),
        $point < 0x800 => chr(0xc0 | $point >> 6) . $tail(0),
        $point < 0x10000 => chr(0xe0 | $point >> 12) . $tail(6) . $tail(0),
        default => chr(0xf0 | $point >> 18) . $tail(12) . $tail(6) . $tail(0),
    };
}

if (($argv[1] ?? '') === 'vectors') {
    $text = fn (?string $bytes) => $bytes === null ? '-' : 'x' . bin2hex($bytes);
    foreach (vectors() as $vector) {
        [$offset, $key, $value] = $vector;
        $case = implode(' ', [$offset, $text($key), $text($value), ...array_slice($vector, 3)]);
        echo "$case\n", of_case($case);
    }
} else {
    while (($case = fgets(STDIN)) !== false) {
        echo of_case($case);
    }
}
