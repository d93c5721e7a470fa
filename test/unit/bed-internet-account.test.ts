import { describe, expect, it } from 'vitest';
import { account, type SentMessage } from '../bed/internet/account';
import type { LedgerEntry } from '../bed/internet/ledger';
import type { ReportMail } from '../bed/internet/stories';

const SECOND = 1_000;

function message(n: number, values: Partial<SentMessage> = {}): SentMessage {
    const destination = values.destination ?? 'one.example';
    return { testId: `t${n}`, from: 'author@ours.example', to: `m${n}@${destination}`, destination, kind: 'clean', expect: 'deliver', at: 0, ...values };
}

function entry(values: Partial<LedgerEntry>): LedgerEntry {
    const domain = values.domain ?? 'one.example';
    return {
        at: 0,
        domain,
        mx: `mx1.${domain}`,
        client: '127.20.16.1',
        helo: 'out.ours.example',
        from: 'author@ours.example',
        to: '',
        messageId: '',
        stage: 'rcpt',
        code: 554,
        reply: '',
        by: 'refuse-share-rcpt',
        accepted: false,
        ...values
    };
}

function refused(sent: SentMessage, values: Partial<LedgerEntry> = {}): LedgerEntry {
    return entry({ domain: sent.destination, to: sent.to, ...values });
}

function accepted(sent: SentMessage, values: Partial<LedgerEntry> = {}): LedgerEntry {
    return refused(sent, { messageId: sent.testId, stage: 'data', code: 250, by: '', accepted: true, ...values });
}

function report(sent: SentMessage, values: Partial<ReportMail> = {}, action = 'failed'): ReportMail {
    const reports = [{ finalRecipient: sent.to, action, status: '5.0.0', diagnostic: '', remoteMta: '' }];
    return { at: 0, writer: 'zonemta', reports, failedRecipients: [sent.to], testId: sent.testId, ...values };
}

function accountOf(books: { sent: SentMessage[]; farm?: LedgerEntry[]; relay?: LedgerEntry[]; sink?: ReportMail[] }) {
    return account({ farm: [], relay: [], sink: [], startedAt: 0, ...books });
}

describe('account', () => {
    it('counts each message once, by the best that happened to it', () => {
        const delivered = message(1);
        const relayed = message(2, { destination: 'closed.example', expect: 'relay' });
        const bounced = message(3, { destination: 'unknown.example', expect: 'bounce' });
        const spam = message(4, { kind: 'gtube', expect: 'refuse' });
        const virus = message(5, { kind: 'eicar', expect: 'refuse' });
        const direct = message(6, { kind: 'gtube', expect: 'refuse', refusedAtSubmission: '550 5.7.1 Gtube pattern' });
        const summary = accountOf({
            sent: [delivered, relayed, bounced, spam, virus, direct],
            farm: [accepted(delivered, { at: 3 * SECOND }), refused(relayed), refused(bounced, { code: 550 })],
            relay: [accepted(relayed)],
            sink: [report(bounced), report(spam, { writer: 'postfix' }), report(virus, { writer: 'postfix', failedRecipients: [] })]
        });
        expect(summary).toMatchObject({
            messages: 6,
            delivered: 1,
            firstAttempt: 1,
            relayed: 1,
            bounced: 1,
            rejectedSpam: 2,
            rejectedVirus: 1,
            rejectedClean: 0,
            lost: 0,
            duplicated: 0,
            relayMisuse: 0,
            dsnPerBounced: 1,
            wallSeconds: 3,
            faults: []
        });
    });

    it('finds the message that nobody took and nobody was told about', () => {
        const sent = message(1);
        const summary = accountOf({ sent: [sent], farm: [refused(sent)] });
        expect(summary.lost).toBe(1);
        expect(summary.faults).toEqual(['lost: t1 to m1@one.example']);
    });

    it('does not take a delay notice for an end', () => {
        const sent = message(1);
        const summary = accountOf({ sent: [sent], sink: [report(sent, {}, 'delayed')] });
        expect(summary).toMatchObject({ lost: 1, bounced: 0, delayNotices: 1 });
    });

    it('finds what was accepted twice, by the farm or by farm and relay', () => {
        const twice = message(1);
        const both = message(2, { destination: 'closed.example', expect: 'relay' });
        const summary = accountOf({
            sent: [twice, both],
            farm: [accepted(twice), accepted(twice, { at: 1, client: '127.20.16.2' }), accepted(both)],
            relay: [accepted(both, { domain: 'relay.example' })]
        });
        expect(summary).toMatchObject({ duplicated: 2, delivered: 2, relayed: 0 });
        expect(summary.faults).toContain('accepted more than once: t1 to m1@one.example');
        expect(summary.faults).toContain('expected to relay, came to deliver and relay: t2 to m2@closed.example');
    });

    it('does not call two messages to one recipient a duplicate', () => {
        const one = message(1);
        const other = message(2, { to: one.to });
        expect(accountOf({ sent: [one, other], farm: [accepted(one), accepted(other)] })).toMatchObject({ duplicated: 0, delivered: 2, faults: [] });
    });

    it('counts at the relay what has no business there, also when the relay refused it', () => {
        const unknown = message(1, { destination: 'unknown.example', expect: 'bounce' });
        const rightful = message(2, { destination: 'closed.example', expect: 'relay' });
        const neighbour = message(3, { destination: 'closed.example', expect: 'bounce' });
        const unlucky = message(4, { mayRelay: true });
        const spam = message(5, { destination: 'closed.example', kind: 'gtube', expect: 'refuse' });
        const summary = accountOf({
            sent: [unknown, rightful, neighbour, unlucky, spam],
            relay: [
                refused(unknown, { code: 550 }),
                accepted(rightful),
                refused(neighbour, { code: 550 }),
                accepted(unlucky),
                accepted(spam),
                entry({ to: 'author@ours.example', messageId: 'a-bounce' }),
                entry({ stage: 'auth', code: 535 })
            ],
            sink: [report(unknown), report(neighbour)]
        });
        expect(summary.relayMisuse).toBe(3);
        expect(summary.faults).toContain('had no business at the relay: author@ours.example');
    });

    it('accepts that a message that may be relayed is relayed, or bounced once the relay has refused it', () => {
        const relayed = message(1, { mayRelay: true });
        const bounced = message(2, { mayRelay: true });
        const summary = accountOf({
            sent: [relayed, bounced],
            relay: [accepted(relayed), refused(bounced, { code: 550 })],
            sink: [report(bounced)]
        });
        expect(summary).toMatchObject({ relayed: 1, bounced: 1, relayMisuse: 0, faults: [] });
    });

    it('notices a second failure report, and one about a message that was delivered', () => {
        const bounced = message(1, { destination: 'unknown.example', expect: 'bounce' });
        const delivered = message(2);
        const twice = accountOf({ sent: [bounced], sink: [report(bounced), report(bounced)] });
        expect(twice.dsnPerBounced).toBe(2);
        expect(twice.faults).toEqual(['2 failure reports: t1 to m1@unknown.example']);
        const falsely = accountOf({ sent: [bounced, delivered], farm: [accepted(delivered)], sink: [report(bounced), report(delivered)] });
        expect(falsely).toMatchObject({ dsnPerBounced: 2, delivered: 1, bounced: 1 });
    });

    it('calls the reports exact when there is nothing to report', () => {
        const sent = message(1);
        expect(accountOf({ sent: [sent], farm: [accepted(sent)] }).dsnPerBounced).toBe(1);
    });

    it('measures the rescue from the first refusal to the delivery from another address', () => {
        const sent = [message(1, { at: 0 }), message(2, { at: 0 }), message(3, { at: 0 })] as const;
        const summary = accountOf({
            sent: [...sent],
            farm: [
                refused(sent[0], { at: 10 * SECOND }),
                refused(sent[0], { at: 11 * SECOND, client: '127.20.16.2' }),
                accepted(sent[0], { at: 12 * SECOND, client: '127.20.16.3' }),
                refused(sent[1], { at: 10 * SECOND }),
                accepted(sent[1], { at: 14 * SECOND, client: '127.20.16.4' }),
                accepted(sent[2], { at: 90 * SECOND, client: '127.20.16.5' })
            ]
        });
        expect(summary).toMatchObject({
            firstAttempt: 1,
            rerouted: 2,
            retried: 0,
            rescueSeconds: { p50: 2, p99: 4 },
            distinctAddresses: 5,
            attemptsPerDelivered: 2
        });
        expect(summary.destinations).toMatchObject([{ destination: 'one.example', attempts: 6, rescueSeconds: { p50: 2, p99: 4 } }]);
    });

    it('charges refusals without a recipient to the slowest messages under way, from their submission on', () => {
        const slow = message(1, { at: 0 });
        const fast = message(2, { at: 0 });
        const later = message(3, { at: 20 * SECOND });
        const summary = accountOf({
            sent: [slow, fast, later],
            farm: [
                entry({ stage: 'greeting', from: '', at: 1 * SECOND }),
                accepted(slow, { at: 6 * SECOND, client: '127.20.16.2' }),
                accepted(fast, { at: 2 * SECOND, client: '127.20.16.3' }),
                accepted(later, { at: 60 * SECOND, client: '127.20.16.4' })
            ]
        });
        // an estimate is no measurement: it does not count for the rescue
        expect(summary).toMatchObject({ firstAttempt: 2, rerouted: 1, rescueSeconds: { p50: null, p99: null } });
        expect(summary.attemptsPerDelivered).toBeCloseTo(4 / 3);
    });

    it('checks that greylisted messages get through from the address that was greylisted', () => {
        const kept = message(1);
        const moved = message(2);
        const grey = { code: 450, by: 'greylist' };
        const summary = accountOf({
            sent: [kept, moved],
            farm: [
                refused(kept, grey),
                accepted(kept, { at: 5 * SECOND }),
                refused(moved, grey),
                refused(moved, { ...grey, at: 1, client: '127.20.16.2' }),
                accepted(moved, { at: 5 * SECOND, client: '127.20.16.2' })
            ]
        });
        expect(summary).toMatchObject({ greylistKept: { kept: 1, total: 2 }, retried: 1, rerouted: 1, rescueSeconds: { p50: 5, p99: 5 } });
    });

    it('names what was accepted without having been sent', () => {
        expect(accountOf({ sent: [], farm: [accepted(message(9))] }).faults).toEqual(['accepted, but never sent: t9 to m9@one.example']);
    });

    it('writes numbers that JSON can hold when nothing happened', () => {
        const summary = accountOf({ sent: [] });
        expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
        expect(summary.rescueSeconds).toEqual({ p50: null, p99: null });
    });
});
