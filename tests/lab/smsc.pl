#!/usr/bin/perl
# An SMS centre for the lab. The protocol is Net::SMPP's, so that nobody's reading of SMPP 3.4 is tested against itself; what stands here is
# only how the centre behaves.
#
#     smsc.pl RECORD PORT    (port 0 takes a free one)
#
# Every PDU of a client becomes a line of RECORD before it is answered. Orders come over the standard input, a JSON document a line:
#
#     {"plan": NUMBER, ...}   how the next SMS to this number fare: "answers": statuses for the first of them, "stat": what the receipt says
#                             ("" for no receipt), "early": the receipt overtakes the answer, "silent": no answer at all,
#                             "lost": its receipts are noted and never leave
#     {"text": ..., "from": NUMBER, "to": NUMBER, "coding": 0 or 8}    somebody writes; long texts come in parts
#     {"receipt": ID, "stat": ..., "to": NUMBER}    a receipt out of its time
#     {"enquire": 1}, {"unbind": 1}    asked of every client
use strict;
use warnings;
use Encode qw(encode);
use IO::Handle;
use IO::Select;
use JSON::PP;
use Net::SMPP;
use POSIX qw(strftime);
use Time::HiRes qw(time);

use constant { SUBMIT => 0x4, DELIVER_RESP => 0x80000005, UNBIND => 0x6, ENQUIRE => 0x15 };
use constant { CLASS_RECEIPT => 0x04, CLASS_HEADER => 0x40, CODING_UCS2 => 8, INTERNATIONAL => 1, ISDN => 1 };
use constant AGAIN_S => 0.5;

my ($path, $port) = @ARGV;
open my $record, '>>', $path or die "$path: $!";
$record->autoflush(1);
$SIG{PIPE} = 'IGNORE';

my $json = JSON::PP->new->utf8->canonical;
my $listener = Net::SMPP->new_listen('127.0.0.1', port => $port) or die "no listener: $!";
my $ready = IO::Select->new($listener, \*STDIN);
my (%plans, %bound, %sent, @waiting);
my ($count, $since, $orders) = (0, time, '');

sub note {
    my %entry = (@_, at => time);
    print $record $json->encode(\%entry), "\n" or die "the record cannot be written: $!";
}

# A mainland number without its country.
sub national { substr $_[0], -11 }

# Whatever is to be delivered waits until a client has said yes to it, as it would in a real centre.
sub deliver {
    push @waiting, {@_, not_before => 0};
    bring();
}

sub bring {
    my ($line) = grep { $_->{receives} } values %bound or return;
    for my $sm (@waiting) {
        next if $sm->{on} || $sm->{not_before} > time;
        my %fields = %$sm;
        delete @fields{qw(not_before on)};
        my $seq = $line->{socket}->deliver_sm(%fields, async => 1);
        $sm->{on} = $line->{name};
        $sent{"$line->{name}/$seq"} = $sm;
    }
}

sub receipt {
    my ($id, $stat, $from, $to) = @_;
    my $now = strftime('%y%m%d%H%M', gmtime);
    my $arrived = $stat eq 'DELIVRD' ? '001' : '000';
    note(pdu => 'receipt', id => $id, stat => $stat, number => $from);
    return if ($plans{national($from)} || {})->{lost};
    deliver(
        source_addr => $from, source_addr_ton => INTERNATIONAL, source_addr_npi => ISDN, destination_addr => $to,
        esm_class => CLASS_RECEIPT, data_coding => 0,
        short_message => "id:$id sub:001 dlvrd:$arrived submit date:$now done date:$now stat:$stat err:000 text:",
    );
}

sub submitted {
    my ($line, $pdu) = @_;
    my $number = $pdu->{destination_addr};
    my $plan = $plans{national($number)} || {};
    my $status = shift @{$plan->{answers} || []} || 0;
    my $id = sprintf '%X%04X', $since, ++$count;
    note(
        pdu => 'submit_sm', id => $id, status => $status, to => $number, ton => $pdu->{dest_addr_ton}, from => $pdu->{source_addr},
        from_ton => $pdu->{source_addr_ton}, coding => $pdu->{data_coding}, class => $pdu->{esm_class},
        registered => $pdu->{registered_delivery}, data => unpack('H*', $pdu->{short_message} // ''),
        payload => unpack('H*', $pdu->{message_payload} // ''), silent => $plan->{silent} ? 1 : 0,
    );
    return if $plan->{silent};
    my $stat = $plan->{stat} // 'DELIVRD';
    my $reports = !$status && ($pdu->{registered_delivery} & 1) && $stat ne '';
    receipt($id, $stat, $number, $pdu->{source_addr}) if $reports && $plan->{early};
    $line->{socket}->submit_sm_resp(seq => $pdu->{seq}, status => $status, message_id => $status ? '' : $id);
    receipt($id, $stat, $number, $pdu->{source_addr}) if $reports && !$plan->{early};
}

sub written {
    my ($order) = @_;
    my ($coding, $text) = ($order->{coding} // CODING_UCS2, $order->{text});
    my $data = $coding == CODING_UCS2 ? encode('UTF-16BE', $text) : encode('gsm0338', $text);
    my @parts = length $data <= 140 ? ($data) : unpack '(a134)*', $data;
    my %sm = (
        source_addr => $order->{from}, source_addr_ton => INTERNATIONAL, source_addr_npi => ISDN,
        destination_addr => $order->{to}, data_coding => $coding,
    );
    return deliver(%sm, short_message => $data) if @parts == 1;
    my $reference = ++$count & 0xff;
    for my $number (1 .. @parts) {
        my $header = pack 'C6', 5, 0, 3, $reference, scalar @parts, $number;
        deliver(%sm, esm_class => CLASS_HEADER, short_message => $header . $parts[$number - 1]);
    }
}

sub order {
    my ($order) = @_;
    if (exists $order->{plan}) { $plans{national($order->{plan})} = $order }
    elsif (exists $order->{text}) { written($order) }
    elsif (exists $order->{receipt}) { receipt(@$order{qw(receipt stat from to)}) }
    for my $line (values %bound) {
        $line->{socket}->enquire_link(async => 1) if $order->{enquire};
        $line->{socket}->unbind(async => 1) if $order->{unbind};
    }
    note(pdu => 'ordered', order => $order);
}

sub gone {
    my ($name, $socket) = @_;
    delete $bound{$name};
    # Nobody knows whether it arrived, so it comes again.
    for my $sm (@waiting) { delete $sm->{on} if ($sm->{on} // '') eq $name }
    $ready->remove($socket);
    $socket->close;
    note(pdu => 'gone');
}

sub heard {
    my ($socket) = @_;
    my $name = fileno $socket;
    my $pdu = do { local $SIG{__WARN__} = sub { }; $socket->read_pdu };
    return gone($name, $socket) if !$pdu;
    my ($cmd, $seq) = ($pdu->{cmd}, $pdu->{seq});
    if ($cmd == 0x1 || $cmd == 0x2 || $cmd == 0x9) {
        note(pdu => 'bind', cmd => $cmd, system_id => $pdu->{system_id}, password => $pdu->{password}, version => $pdu->{interface_version});
        my $knows = $pdu->{password} eq 'geheim';
        my $answer = { 0x1 => 'bind_receiver_resp', 0x2 => 'bind_transmitter_resp', 0x9 => 'bind_transceiver_resp' }->{$cmd};
        $socket->$answer(seq => $seq, status => $knows ? 0 : 0xe, system_id => 'lab');
        $bound{$name} = { name => $name, socket => $socket, receives => $cmd != 0x2 } if $knows;
        bring();
    } elsif ($cmd == SUBMIT && $bound{$name}) {
        submitted($bound{$name}, $pdu);
    } elsif ($cmd == DELIVER_RESP) {
        my $sm = delete $sent{"$name/$seq"};
        note(pdu => 'deliver_sm_resp', status => $pdu->{status}, text => $sm ? unpack('H*', $sm->{short_message}) : '');
        return if !$sm;
        delete $sm->{on};
        $sm->{not_before} = time + AGAIN_S;
        @waiting = grep { $_ != $sm } @waiting if $pdu->{status} == 0;
    } elsif ($cmd == ENQUIRE) {
        note(pdu => 'enquire_link');
        $socket->enquire_link_resp(seq => $seq);
    } elsif ($cmd == UNBIND) {
        note(pdu => 'unbind');
        $socket->unbind_resp(seq => $seq);
        gone($name, $socket);
    } elsif ($cmd & 0x80000000) {
        note(pdu => sprintf('answer 0x%08x', $cmd), status => $pdu->{status});
        gone($name, $socket) if $cmd == (UNBIND | 0x80000000);
    } else {
        note(pdu => sprintf('unknown 0x%08x', $cmd));
        $socket->generic_nack(seq => $seq, status => 0x3);
    }
}

STDOUT->autoflush(1);
print $listener->sockport, "\n";
while (1) {
    for my $handle ($ready->can_read(0.2)) {
        if ($handle == $listener) {
            $ready->add($listener->accept);
        } elsif ($handle == \*STDIN) {
            # It ends with the tool, however that ends.
            sysread STDIN, $orders, 65536, length $orders or exit;
            while ($orders =~ s/^(.*)\n//) { order($json->decode($1)) }
        } else {
            heard($handle);
        }
    }
    bring();
}
