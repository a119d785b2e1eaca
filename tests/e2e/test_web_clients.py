"""Mail goes out from programs: PHPMailer (WordPress and its plugins), nodemailer, Perl's Net::SMTP."""
import json
import os
import subprocess
import time

import pytest

from fixtures.clients import PASSWORDS, token
from fixtures.postfix import parts

DOORS = ["submissions", "submission"]

# What to do comes as JSON on standard input, what came of it goes as JSON to standard output.
PHPMAILER = r"""<?php
require '/usr/share/php/libphp-phpmailer/autoload.php';
$job = json_decode(file_get_contents('php://stdin'), true);
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = $job['port'];
$mail->SMTPSecure = $job['implicit'] ? 'ssl' : 'tls';
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];
$mail->SMTPAuth = true;
$mail->SMTPKeepAlive = true;
$mail->Username = $job['user'];
$mail->Password = $job['password'];
$mail->setFrom($job['user'], 'Shop');
$mail->addAddress($job['recipient']);
$mail->isHTML(true);
$ids = [];
$error = '';
try {
    foreach ($job['subjects'] as $subject) {
        $mail->Subject = $subject;
        $mail->Body = '<p>.A line that begins with a dot: ' . str_repeat('ol&aacute; ', 300) . '</p>';
        $mail->AltBody = ".\r\n..\r\nol\u{e1}";
        $mail->send();
        $ids[] = $mail->getSMTPInstance()->getLastTransactionID();
    }
} catch (Exception $e) {
    $error = $e->getMessage();
}
$mail->smtpClose();
echo json_encode(['ids' => $ids, 'error' => $error]);
"""

NODEMAILER = r"""
const nodemailer = require('/usr/share/nodejs/nodemailer');
const job = JSON.parse(require('fs').readFileSync(0));
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: job.port, secure: job.implicit, requireTLS: true, pool: true,
  maxConnections: 1, tls: {rejectUnauthorized: false},
  auth: {user: job.user, pass: job.password}});
(async () => {
  const ids = [];
  let error = '';
  try {
    for (const subject of job.subjects) {
      const info = await transport.sendMail({from: job.user, to: job.recipient, subject,
        text: '.\n..\nol\u00e1', html: '<p>ol\u00e1</p>'});
      ids.push(info.response.replace(/.*queued as /, ''));
    }
  } catch (e) {
    error = e.message;
  }
  transport.close();
  console.log(JSON.stringify({ids, error}));
})();
"""

NET_SMTP = r"""
use strict;
use warnings;
use JSON::PP;
use Net::SMTP;
my $job = decode_json(join '', <STDIN>);
my @tls = (SSL_verify_mode => 0);
my ($error, @ids) = ('');
my $smtp = Net::SMTP->new('127.0.0.1', Port => $job->{port}, Hello => 'web.example',
    $job->{implicit} ? (SSL => 1, @tls) : ()) or die "no connection: $@";
sub failed { $error = $smtp->code . ' ' . $smtp->message; return 0 }
if (($job->{implicit} || $smtp->starttls(@tls) || failed())
    && ($smtp->auth($job->{user}, $job->{password}) || failed())) {
    for my $subject (@{$job->{subjects}}) {
        my $text = "From: $job->{user}\nTo: $job->{recipient}\nSubject: $subject\n\n.\n..\nhello\n";
        ($smtp->mail($job->{user}) && $smtp->to($job->{recipient}) && $smtp->data($text))
            || failed() || last;
        push @ids, $smtp->message =~ /queued as (\w+)/;
    }
}
$smtp->quit;
print encode_json({ids => \@ids, error => $error});
"""

CLIENTS = {
    "PHPMailer": (["php"], PHPMAILER, ".php"),
    "nodemailer": (["node"], NODEMAILER, ".js"),
    "Net::SMTP": (["perl"], NET_SMTP, ".pl"),
}
every_client = pytest.mark.parametrize("client", CLIENTS)
every_door = pytest.mark.parametrize("door", DOORS)


@pytest.fixture
def send(gateway, folder):
    """Has a client send messages; returns their ids as the client read them, and its error or ""."""
    def run(client, door, subjects, recipient, user="alice@example.com", password=PASSWORDS["alice"], through=gateway):
        command, program, ending = CLIENTS[client]
        path = folder / f"client{ending}"
        path.write_text(program)
        job = {"port": through.port(door), "implicit": through.is_implicit(door), "user": user,
               "password": password, "subjects": subjects, "recipient": recipient}
        done = subprocess.run([*command, path], input=json.dumps(job), capture_output=True, text=True,
                              timeout=60, env={"PATH": os.environ["PATH"], "HOME": str(folder)}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        result = json.loads(done.stdout)
        return result["ids"], result["error"]
    return run


@every_door
@every_client
def test_messages_go_out_and_the_client_knows_their_ids(gateway, postfix, send, client, door):
    subjects = [token() for _ in range(3)]
    recipient = f"{token()}@dest.example"
    ids, error = send(client, door, subjects, recipient)
    assert error == ""
    logged = [gateway.wait_event("message_accepted", message=i)["recipient"] for i in ids]
    assert logged == [recipient] * 3
    arrived = [parts(m)[1] for m in postfix.delivered(recipient, count=3)]
    assert sorted(subjects) == sorted(s for s in subjects for text in arrived if s.encode() in text)
    assert all(b"\n.\n..\n" in text for text in arrived)


@every_client
def test_a_wrong_password_is_told_as_such(send, client):
    ids, error = send(client, "submissions", [token()], "someone@dest.example", password="wrong")
    assert ids == []
    assert error == {"PHPMailer": "SMTP Error: Could not authenticate."}.get(client) or "5.7.8" in error, error


@every_client
def test_a_refusal_of_the_server_behind_reaches_the_client_with_its_text(send, client):
    ids, error = send(client, "submissions", [token()], "no-one@dest.example")
    assert ids == [] and "User unknown" in error, error


def test_a_script_that_sends_faster_than_its_limit_is_held_back_and_loses_nothing(new_gateway, postfix, send):
    """PHPMailer neither queues nor tries again: a 451 would be a lost mail."""
    limits = {"pace": {"key": ["account"], "count": "messages", "rate": "10/s", "burst": 20, "action": "delay"}}
    gateway = new_gateway(postfix, policies={"sites": {"limits": limits}}, listener={"policy": "sites"})
    recipient = f"{token()}@dest.example"
    begin = time.monotonic()
    ids, error = send("PHPMailer", "submissions", [token() for _ in range(50)], recipient, through=gateway)
    assert time.monotonic() - begin >= (50 - 20) / 10, "what comes faster waits"
    assert error == "" and len(set(ids)) == 50
    assert len(postfix.delivered(recipient, count=50)) == 50
