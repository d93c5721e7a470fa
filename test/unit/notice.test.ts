/** The last letter's text, as the sender reads it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../lib/delivery/types';
import { noticeText, type Trail } from '../../lib/notice/notice';

const START = Date.UTC(2026, 2, 1, 9, 30);
const MINUTE = 60_000;

function attempt(minutes: number, response: string, changes: Partial<Attempt> = {}): Attempt {
    const at = START + minutes * MINUTE;
    return { at, address: '192.0.2.1', family: 'ipv4', provider: 'example', mx: 'mx.example', class: 'ip-reputation', rule: 'a-rule', code: 554, response, ms: 5, ...changes };
}

describe('the last letter', () => {
    it('says so when nothing was tried because all addresses were suspended', () => {
        const text = noticeText('550 no', { own: [attempt(0, 'suspended', { address: '', rule: 'suspended' })], relay: [], since: START });
        expect(text).toContain('No attempt from addresses of ours was made');
        expect(text).not.toContain('What was tried');
    });

    it('after one refusal says what was answered, and when', () => {
        expect(noticeText('550 5.1.1 No such user', { own: [attempt(0, '550 5.1.1 No such user')], relay: [] }).split('\r\n')).toEqual([
            '550 5.1.1 No such user',
            '    .',
            '    What was tried: 1 attempt from 1 address of ours, on 2026-03-01 09:30:00 UTC.',
            '    The answers:',
            '    - mx.example: 550 5.1.1 No such user'
        ]);
    });

    it('tells the whole way: own addresses, the handover, and the relay', () => {
        const trail: Trail = {
            own: [attempt(0, '554 blocked'), attempt(1, '554 blocked', { address: '192.0.2.2' }), attempt(2, '421 slow down', { address: '2001:db8::1', mx: 'mx2.example' })],
            relay: [attempt(3, '451 later', { address: '', mx: 'smtp.provider.example' }), attempt(63, '550 mailbox\r\nunavailable', { address: '', mx: 'smtp.provider.example' })],
            since: START + 2 * MINUTE
        };
        expect(noticeText('550 mailbox unavailable', trail).split('\r\n')).toEqual([
            '550 mailbox unavailable',
            '    .',
            '    What was tried: 3 attempts from 3 addresses of ours, from 2026-03-01 09:30:00 UTC to 2026-03-01 09:32:00 UTC.',
            '    The answers:',
            '    - mx.example: 554 blocked (2 times)',
            '    - mx2.example: 421 slow down',
            '    .',
            '    On 2026-03-01 09:32:00 UTC the message was handed to another provider (smtp.provider.example).',
            '    It was tried there 2 times, from 2026-03-01 09:33:00 UTC to 2026-03-01 10:33:00 UTC. The last answer: 550 mailbox unavailable'
        ]);
    });

    it('says so when the relay gave no answer at all', () => {
        const text = noticeText('', { own: [attempt(0, '')], relay: [], since: START });
        expect(text.split('\r\n').slice(-2)).toEqual(['    On 2026-03-01 09:30:00 UTC the message was handed to another provider.', '    It gave no answer.']);
        expect(text).toContain('- mx.example: no answer');
    });

    it('counts further answers instead of listing them all', () => {
        const own = Array.from({ length: 20 }, (_, n) => attempt(n, `554 blocked, ticket ${n}`));
        const lines = noticeText('554 blocked', { own, relay: [] }).split('\r\n');
        expect(lines.at(-2)).toBe('    - mx.example: 554 blocked, ticket 5');
        expect(lines.at(-1)).toBe('    - and 14 more');
    });

    it('folds: whatever was answered, it cannot make a header or an empty line, and it does not grow without end', () => {
        const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 600 }), fc.constantFrom('', '\r\n', '550 no\r\nBcc: all@example.com\r\n\r\nbody'));
        const trail = fc.array(fc.record({ minutes: fc.nat(5000), response: text, mx: fc.constantFrom('mx.example', 'mx2.example', '') }), { maxLength: 40 });
        fc.assert(
            fc.property(text, trail, trail, fc.option(fc.nat(5000), { nil: undefined }), (last, own, relay, since) => {
                const attempts = (list: typeof own) => list.map(({ minutes, response, mx }) => attempt(minutes, response, { mx }));
                const notice = noticeText(last, { own: attempts(own), relay: attempts(relay), since: since === undefined ? undefined : START + since * MINUTE });
                expect(notice.length).toBeLessThan(6000);
                const [first = '', ...further] = notice.split('\r\n');
                expect(first).not.toBe('');
                for (const line of [first, ...further]) {
                    expect(line).not.toMatch(/[\r\n]/);
                }
                for (const line of further) {
                    expect(line).toMatch(/^ {4}\S/);
                }
            }),
            { numRuns: 2000 }
        );
    });
});
