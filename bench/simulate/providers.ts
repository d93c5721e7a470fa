/**
 * The simulated internet in one table: how ten providers treat us. No provider publishes all of this. A line without a source
 * is a guess, and says so; the guesses are made so that what is pressed on pushes back.
 *
 * Times are in the units that their names say. "Range" is the /24 of an IPv4 address, and the /64 or /48 of an IPv6 one (`ipv6`).
 */

export interface ProviderModel {
    /** As in config/providers.toml, but for gateways and small servers, where the recipient's domain is the key. */
    key: string;
    domain: string;
    mx: string;
    /** Share of the messages. Guess: a German hosting provider's. */
    share: number;
    /**
     * `none`: no AAAA record. `address`: reputation by address, widened to the /64. `range`: reputation by /64, widened to
     * the /48, as is common where a sender may have 2^64 addresses (M3AAWG, Policy Issues for Receiving Email in a World with IPv6 Hosts, 2014).
     */
    ipv6: 'none' | 'address' | 'range';
    /** Attempts that one address (or /64) may make: so many at once, refilled by so many an hour. */
    burst: number;
    perHour: number;
    /** Share of unwanted messages that are refused for their content. Guess. */
    detects: number;
    /** Points after which an address is blocked. Points lose half of their weight in a day. Guess. */
    threshold: number;
    /** Shortest and longest block, hours; drawn evenly on a logarithmic scale. */
    blocked: readonly [number, number];
    /** Refused attempts from blocked addresses of one range, within about an hour, after which the range is blocked. Guess. */
    widensAfter: number;
    /** Length of such a block, hours. Guess. */
    widenedFor: number;
    /** Share of our addresses that are blocked before the first message, and of those that join them each day for reasons of others. Guess. */
    inherited: number;
    inheritedDaily: number;
    /** Greylisting of (range, sender, recipient): wait in seconds, and passes after which a range waits no more. */
    greylist?: { wait: number; passes: number };
    replies: Replies;
}

/** What it says. Real replies; the addresses in them are those of the documentation (RFC 5737), and the same for all. */
export interface Replies {
    blocked: string;
    range: string;
    rate: string;
    content: string;
    /** When it refuses everything of ours. */
    all: string;
}

const ZEN = '554 5.7.1 Service unavailable; Client host [192.0.2.66] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.66';
const SPAM = '550 5.7.1 Message rejected as spam by Content Filtering.';

/** Replies: test/corpus and config/rules have each one, with its source. */
export const PROVIDERS: readonly ProviderModel[] = [
    {
        key: 'google',
        domain: 'gmail.example',
        mx: 'gmail-smtp-in.l.google.com',
        share: 0.27,
        // Google asks more of IPv6 senders (support.google.com/mail/answer/81126, "IPv6 guidelines")
        ipv6: 'range',
        // guess: Google names no figure, only that limits grow with the volume it knows
        burst: 20,
        perHour: 120,
        detects: 0.6,
        threshold: 10,
        // guess: the reply 4.7.28 asks to wait, people report hours to days
        blocked: [2, 48],
        widensAfter: 60,
        widenedFor: 12,
        inherited: 0.02,
        inheritedDaily: 0.005,
        replies: {
            blocked: '550-5.7.1 [192.0.2.12 18] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been blocked.',
            range: '421-4.7.28 [192.0.2.12 15] Our system has detected an unusual rate of unsolicited mail originating from your IP Netblock. To protect our users from spam, mail sent from your IP Netblock has been temporarily rate limited.',
            rate: '421-4.7.28 [192.0.2.12 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.',
            content: '550 5.7.1 [192.0.2.74] Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.',
            all: '421 4.7.0 [192.0.2.12 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.'
        }
    },
    {
        key: 'microsoft-365',
        domain: 'company.example',
        mx: 'company-example.mail.protection.outlook.com',
        share: 0.2,
        ipv6: 'range',
        burst: 30,
        perHour: 150,
        detects: 0.5,
        threshold: 12,
        // the delist portal takes up to a day (learn.microsoft.com, "Use the delist portal"); the rest is a guess
        blocked: [12, 168],
        widensAfter: 50,
        widenedFor: 24,
        inherited: 0.02,
        inheritedDaily: 0.005,
        replies: {
            blocked: '550 5.7.606 Access denied, banned sending IP [192.0.2.91]. To request removal from this list please visit https://sender.office.com/ and follow the directions.',
            range: '550 5.7.1 Service unavailable, Client host [192.0.2.183] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/192.0.2.183 (AS16012611)',
            rate: '451 4.7.652 The mail server [192.0.2.251] has exceeded the maximum number of connections. (S3115)',
            content: SPAM,
            all: '451 4.7.500 Server busy. Please try again later from [192.0.2.91]. (AS77714)'
        }
    },
    {
        key: 'microsoft-olc',
        domain: 'outlook.example',
        mx: 'outlook-example.olc.protection.outlook.com',
        share: 0.12,
        // outlook.com had no AAAA record when this was written
        ipv6: 'none',
        burst: 15,
        perHour: 60,
        detects: 0.4,
        // known for blocking young and quiet addresses of hosting providers: lower than the others. Guess
        threshold: 7,
        blocked: [12, 168],
        widensAfter: 40,
        widenedFor: 48,
        inherited: 0.08,
        inheritedDaily: 0.01,
        replies: {
            blocked: '550 SC-004 Mail rejected by Windows Live Hotmail for policy reasons. A block has been placed against your IP address because we have received complaints concerning mail coming from that IP address.',
            range: "550 5.7.1 Unfortunately, messages from [192.0.2.91] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).",
            rate: '451 4.7.650 The mail server [192.0.2.251] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)',
            content: SPAM,
            all: "550 5.7.1 Unfortunately, messages from [192.0.2.91] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150)."
        }
    },
    {
        key: 'yahoo',
        domain: 'yahoo.example',
        mx: 'mta5.am0.yahoodns.net',
        share: 0.06,
        ipv6: 'none',
        burst: 10,
        perHour: 40,
        detects: 0.5,
        threshold: 6,
        // TSS04 lifts by itself within hours (senders.yahooinc.com, "SMTP error codes"); the longer part is a guess
        blocked: [4, 48],
        widensAfter: 30,
        widenedFor: 12,
        inherited: 0.03,
        inheritedDaily: 0.005,
        replies: {
            blocked: '553 Mail from 192.0.2.127 not allowed - 5.7.1 [BL23] Connections not accepted from IP addresses on Spamhaus XBL [550]',
            range: '553 Mail from 192.0.2.127 not allowed - 5.7.1 [BL23] Connections not accepted from IP addresses on Spamhaus XBL [550]',
            rate: '421 4.7.0 [TSS04] Messages from 192.0.2.51 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes',
            content: SPAM,
            all: '421 4.7.1 [TS03] All messages from 192.0.2.70 permanently deferred'
        }
    },
    {
        key: 'gmx',
        domain: 'gmx.example',
        mx: 'mx00.gmx.net',
        share: 0.1,
        ipv6: 'none',
        burst: 20,
        perHour: 80,
        detects: 0.4,
        threshold: 9,
        blocked: [2, 72],
        widensAfter: 50,
        widenedFor: 12,
        inherited: 0.03,
        inheritedDaily: 0.005,
        replies: {
            blocked: '554-gmx.net (mxgmx103) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is black listed. 554 For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.66&c=bl',
            range: '554-gmx.net (mxgmx103) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is black listed. 554 For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.66&c=bl',
            rate: '421 4.7.0 mx.gmx.net Error: too many connections from 192.0.2.60',
            content: SPAM,
            all: '421-gmx.net (mxgmx103) Nemesis ESMTP Service not available 421-Service closing transmission channel 421 Try again later'
        }
    },
    {
        key: 't-online',
        domain: 't-online.example',
        mx: 'mx00.t-online.de',
        share: 0.07,
        ipv6: 'none',
        burst: 10,
        perHour: 60,
        detects: 0.3,
        threshold: 6,
        // until somebody writes to tosa@rx.t-online.de, so long ones
        blocked: [12, 168],
        widensAfter: 30,
        widenedFor: 48,
        inherited: 0.04,
        inheritedDaily: 0.005,
        replies: {
            blocked: '554 IP=192.0.2.66 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)',
            range: '554 IP=192.0.2.66 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)',
            rate: '421 4.7.0 mx00.t-online.de Error: too many connections from 192.0.2.60',
            content: SPAM,
            all: '554 IP=192.0.2.66 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)'
        }
    },
    {
        key: 'apple',
        domain: 'icloud.example',
        mx: 'mx01.mail.icloud.com',
        share: 0.04,
        ipv6: 'none',
        burst: 10,
        perHour: 40,
        detects: 0.5,
        threshold: 6,
        blocked: [4, 72],
        widensAfter: 30,
        widenedFor: 24,
        inherited: 0.02,
        inheritedDaily: 0.005,
        replies: {
            blocked: ZEN,
            range: ZEN,
            rate: '421 [HCM1] Your mail from 192.0.2.54 was deferred.',
            content: '550 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137',
            all: '421 [HCM1] Your mail from 192.0.2.54 was deferred.'
        }
    },
    {
        key: 'ionos',
        domain: 'ionos.example',
        mx: 'mx00.ionos.de',
        share: 0.05,
        ipv6: 'address',
        burst: 20,
        perHour: 80,
        detects: 0.4,
        threshold: 9,
        blocked: [2, 48],
        widensAfter: 50,
        widenedFor: 12,
        inherited: 0.02,
        inheritedDaily: 0.005,
        replies: {
            blocked: '554-kundenserver.de (mxeue102) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is black listed. 554 For explanation visit https://postmaster.1und1.de/en/error-messages?ip=192.0.2.66&c=bl',
            range: '554-kundenserver.de (mxeue102) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is black listed. 554 For explanation visit https://postmaster.1und1.de/en/error-messages?ip=192.0.2.66&c=bl',
            rate: '421 4.7.0 mx00.ionos.de Error: too many connections from 192.0.2.60',
            content: SPAM,
            all: '421 4.7.0 mx00.ionos.de Error: too many connections from 192.0.2.60'
        }
    },
    {
        key: 'proofpoint:gateway.example',
        domain: 'gateway.example',
        mx: 'mx1.gateway.example.pphosted.com',
        share: 0.04,
        ipv6: 'none',
        burst: 10,
        perHour: 60,
        detects: 0.6,
        threshold: 8,
        blocked: [6, 96],
        widensAfter: 40,
        widenedFor: 24,
        inherited: 0.03,
        inheritedDaily: 0.005,
        replies: {
            blocked: '550 5.7.1 Service unavailable; client [192.0.2.5] blocked using prs.proofpoint.com',
            range: '550 5.7.1 Service unavailable; client [192.0.2.5] blocked using prs.proofpoint.com',
            rate: '452 4.3.2 Connection rate limit exceeded.',
            content: SPAM,
            all: '550 5.7.1 Service unavailable; client [192.0.2.5] blocked using prs.proofpoint.com'
        }
    },
    {
        // the long tail: one Postfix with postgrey and Spamhaus stands for all of them
        key: 'small.example',
        domain: 'small.example',
        mx: 'mail.small.example',
        share: 0.05,
        ipv6: 'address',
        burst: 30,
        perHour: 300,
        detects: 0.3,
        threshold: 15,
        blocked: [12, 168],
        widensAfter: 200,
        widenedFor: 12,
        inherited: 0.03,
        inheritedDaily: 0.005,
        // postgrey: --delay=300, --auto-whitelist-clients=5, --lookup-by-subnet (its defaults)
        greylist: { wait: 300, passes: 5 },
        replies: {
            blocked: ZEN,
            range: ZEN,
            rate: '421 4.7.0 mail.small.example Error: too many connections from 192.0.2.60',
            content: '554 5.7.1 Spam message rejected; If this is not spam contact abuse',
            all: ZEN
        }
    }
];

export const GREYLISTED = '450 4.7.1 <user@example.com>: Recipient address rejected: Greylisted';

/** What is alike at all providers. All guesses. */
export const HABITS = {
    /** A /64 that is judged as one may have so many times the attempts and points of an address. */
    rangeAllowance: 8,
    /** Points of an address: for a refused unwanted message, for a complaint, for each attempt over the limit. */
    contentPoints: 1,
    complaintPoints: 2,
    overRatePoints: 0.2,
    /** Points lose half of their weight in so many hours. */
    pointsHalfLife: 24,
    /** So many attempts while an address is blocked are forgiven; after each more it must be quiet for so many hours before the block ends. */
    forgiven: 3,
    quiet: 4,
    /** Each address more that is refused for the same message weighs so much more on the range, up to so many: it looks like snowshoe spam. */
    snowshoe: 0.5,
    snowshoeMost: 4,
    /** Refused attempts widen a block only where they are so great a part of all attempts from the range. */
    widensShare: 0.1,
    /** Attempts of a range lose half of their weight in so many hours. */
    pressureHalfLife: 0.7,
    /** Complaints about a range within about a day that block it. */
    complaintsWiden: 40,
    /** Share of accepted unwanted, newsletter and ordinary messages that are complained about. Feedback loops call 0.1 % the limit, 0.3 % bad (Google, Email sender guidelines). */
    complaints: { unwanted: 0.03, newsletter: 0.001, ordinary: 0.0001 },
    /** A complaint comes after so many hours at the most. */
    complaintWithin: 8
};

/** What happens in the run, at parts of its time. */
export const EVENTS = {
    /** One account sends unwanted mail: share of all messages. */
    hijacked: { from: 0.35, to: 0.4, share: 0.014 },
    /** A provider refuses everything of ours for an hour of four days. */
    refusesAll: { provider: 't-online', from: 0.6, to: 0.61042 },
    /** A provider refuses all of IPv6. */
    refusesIPv6: { provider: 'google', from: 0.7, to: 0.8 }
};

/** Who sends. Guesses. */
export const TRAFFIC = {
    /** Share of messages that come in newsletters, their size, and how many a second. */
    newsletters: 0.12,
    newsletterSize: [300, 3000] as const,
    newsletterRate: 10,
    /** Ordinary mail that is unwanted: forwarded spam, bought lists. */
    unwanted: 0.006,
    customers: 3000,
    /** By day there is so much more than on average, by night so much less. */
    dayAndNight: 0.7
};
