<?php
// A hop under PHP-FPM, with the paths of hops.py. A hop that ends in `c` is asked by curl, others by PHP's own
// streams. /status/CODE is answered with that status, and what /later/NUMBER/HOP asks it asks after the answer.

function ask(string $hop, string $target): string
{
    $url = 'http://127.0.0.1:' . rtrim($hop, 'c') . $target;
    if (!str_ends_with($hop, 'c')) {
        return file_get_contents($url);
    }
    $curl = curl_init($url);
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    return curl_exec($curl);
}

[$path, $query] = explode('?', $_SERVER['REQUEST_URI'] . '?');
[, $name, $number, $hop, $others] = array_pad(explode('/', $path, 5), 5, '');
$rest = "/walk/$number" . ($others === '' ? '' : "/$others") . "?$query";
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    strlen(file_get_contents('php://input')) === (int) $_SERVER['CONTENT_LENGTH'] || exit(1);
}
if ($name === 'status') {
    http_response_code((int) $number);
} elseif ($name === 'later') {
    fastcgi_finish_request();
}
if ($hop === '' || $name === 'status') {
    echo "end\n";
} else {
    foreach (explode('+', $hop) as $one) {
        echo ask($one, $rest);
    }
}
