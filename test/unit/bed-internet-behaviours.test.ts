import { describe, expect, it } from 'vitest';
import { canonical, reverseName } from '../bed/internet/addresses';
import * as behaviours from '../bed/internet/behaviours';
import type { Visit } from '../bed/internet/ledger';
import { Journal } from '../bed/internet/journal';
import { hashed, seeded, shuffled } from '../bed/internet/random';
import { readDeliveryStatus, readLetter } from '../bed/internet/reports';
import { asError, headerOf, replyText } from '../bed/internet/smtp';

const pool = Array.from({ length: 256 }, (_, i) => `127.20.16.${i}`);

function visit(values: Partial<Visit> = {}): Visit {
    return {
        at: 0,
        domain: 'one.example',
        mx: 'mx1.one.example',
        client: '127.20.16.1',
        helo: 'out.ours.example',
        from: 'author@ours.example',
        to: 'm1@one.example',
        ...values
    };
}

describe('seeded random source', () => {
    it('repeats itself for a seed and differs between seeds', () => {
        const numbers = (seed: number) => Array.from({ length: 5 }, seeded(seed));
        expect(numbers(7)).toEqual(numbers(7));
        expect(numbers(7)).not.toEqual(numbers(8));
    });

    it('stays in [0, 1) and spreads evenly', () => {
        const random = seeded(1);
        const buckets = new Array<number>(10).fill(0);
        for (let i = 0; i < 100_000; i++) {
            const bucket = Math.floor(random() * 10);
            buckets[bucket] = (buckets[bucket] ?? 0) + 1;
        }
        expect(buckets).toHaveLength(10);
        expect(Math.min(...buckets)).toBeGreaterThan(9_500);
        expect(Math.max(...buckets)).toBeLessThan(10_500);
    });

    it('shuffles without losing anything', () => {
        const mixed = shuffled(pool, seeded(3));
        expect(mixed).not.toEqual(pool);
        expect([...mixed].sort()).toEqual([...pool].sort());
    });

    it('hashes neighbouring addresses apart', () => {
        const share = pool.filter(address => hashed(address, 5) < 0.3).length / pool.length;
        expect(share).toBeGreaterThan(0.2);
        expect(share).toBeLessThan(0.4);
    });
});

describe('behaviours', () => {
    it('refuses exactly the share of the pool, always the same addresses, in IPv6 too', () => {
        const mixed = [...pool.slice(0, 60), ...Array.from({ length: 40 }, (_, i) => `2001:db8:20:0:0::${i.toString(16)}`)];
        const behaviour = behaviours.refuseShare(behaviours.shareOf(mixed, 0.3, 42), 'rcpt', behaviours.REPLIES.spamhaus);
        const refused = () => mixed.map(canonical).filter(client => behaviour.rcpt?.(visit({ client })));
        expect(refused()).toHaveLength(30);
        expect(refused()).toEqual(refused());
        expect(behaviour.greeting).toBeUndefined();
    });

    it('refuses a share of unknown addresses by a hash of each', () => {
        const behaviour = behaviours.refuseShare(0.6, 'mail', behaviours.REPLIES.spamhaus, 9);
        const strangers = Array.from({ length: 4096 }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
        const refused = strangers.filter(client => behaviour.mail?.(visit({ client })));
        expect(refused.length / strangers.length).toBeCloseTo(0.6, 1);
    });

    it('fills the client address into the reply', () => {
        const reply = behaviours.refuseAll('rcpt').rcpt?.(visit());
        expect(reply && replyText(reply)).toBe(
            '554 5.7.1 Service unavailable; Client host [127.20.16.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/127.20.16.1'
        );
    });

    it('makes multi-line replies', () => {
        const reply = behaviours.REPLIES.ciscoPoorReputation(visit());
        expect(replyText(reply)).toMatch(/^554-mx1\.one\.example\n554 Your access/);
        expect(asError(reply).message).toBe(reply.lines);
    });

    it('refuses a text that is no SMTP reply', () => {
        expect(() => behaviours.reply('blocked')).toThrow('not an SMTP reply: blocked');
        expect(() => behaviours.reply('550-one\n554 two')).toThrow('not an SMTP reply');
    });

    it('limits each address within a sliding window', () => {
        const limit = behaviours.limitPerAddress({ visits: 2, windowMs: 1000 });
        const code = (at: number, client = '127.20.16.1') => limit.mail?.(visit({ at, client }))?.code;
        expect([code(0), code(100), code(200)]).toEqual([undefined, undefined, 421]);
        expect(code(200, '127.20.16.2')).toBeUndefined();
        expect([code(1001), code(1002), code(1101)]).toEqual([undefined, 421, undefined]);
    });

    it('greylists by address, sender and recipient; another address starts the wait anew', () => {
        const grey = behaviours.greylist(1000);
        const code = (at: number, values: Partial<Visit> = {}) => grey.rcpt?.(visit({ at, ...values }))?.code;
        expect([code(0), code(999), code(1000), code(5000)]).toEqual([450, 450, undefined, undefined]);
        expect(code(5000, { client: '127.20.16.2' })).toBe(450);
        expect(code(5000, { from: 'other@ours.example' })).toBe(450);
        expect(code(6000, { client: '127.20.16.2' })).toBeUndefined();
    });

    it('has trouble a number of times for each recipient', () => {
        const trouble = behaviours.systemTrouble(2);
        const code = (to: string) => trouble.rcpt?.(visit({ to }))?.code;
        expect([code('a@x'), code('a@x'), code('b@x'), code('a@x')]).toEqual([451, 451, 451, undefined]);
    });

    it('lets the first of several behaviours that refuses decide, and names it', () => {
        const both = behaviours.all(behaviours.refuseShare(new Set(['127.20.16.1']), 'rcpt', behaviours.REPLIES.spamhaus), behaviours.greylist(1000));
        expect(both.rcpt?.(visit())).toMatchObject({ code: 554, by: 'refuse-share-rcpt' });
        expect(both.rcpt?.(visit({ client: '127.20.16.2' }))).toMatchObject({ code: 450, by: behaviours.GREYLIST });
        expect(both.listens).toBe('smtp');
        expect(behaviours.all(behaviours.accept(), behaviours.timeout()).listens).toBe('silent');
    });

    it('refuses by recipient, content and SPF at the stage where servers do', () => {
        expect(behaviours.unknownUser(to => to.startsWith('m1@')).rcpt?.(visit())).toBeUndefined();
        expect(behaviours.unknownUser().rcpt?.(visit())?.lines[0]).toContain('<m1@one.example>: Recipient address rejected: User unknown');
        expect(behaviours.contentRefused().data?.(visit())?.code).toBe(554);
        expect(behaviours.spfFail().rcpt?.(visit())?.lines[0]).toMatch(/^5\.7\.23 /);
    });
});

describe('journal', () => {
    it('finds entries of the past and of the future', async () => {
        const journal = new Journal<number>();
        journal.record(1);
        await expect(journal.waitFor(n => n === 1, 10)).resolves.toBe(1);
        const later = journal.waitFor(n => n === 2, 1000);
        const full = journal.until(entries => entries.length === 3, 1000);
        journal.record(2);
        journal.record(3);
        await expect(later).resolves.toBe(2);
        await expect(full).resolves.toBeUndefined();
    });

    it('says what it waited for in vain, and passes on what a predicate throws', async () => {
        const journal = new Journal<number>();
        await expect(journal.waitFor(n => n === 5, 5, 'a five')).rejects.toThrow('waited 5 ms in vain for a five; 0 entries seen');
        const broken = journal.waitFor(() => {
            throw new Error('broken');
        }, 1000);
        journal.record(1);
        await expect(broken).rejects.toThrow('broken');
    });
});

describe('letters', () => {
    const postfix = [
        'From: MAILER-DAEMON@mail.ours.example (Mail Delivery System)',
        'Subject: Undelivered Mail Returned to Sender',
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"',
        '',
        '--B',
        'Content-Type: text/plain',
        '',
        'This is the mail system at host mail.ours.example.',
        '--B',
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns; mail.ours.example',
        '',
        'Final-Recipient: rfc822; M1@one.example',
        'Original-Recipient: rfc822;m1@one.example',
        'Action: failed',
        'Status: 5.7.1',
        'Remote-MTA: dns; 127.20.0.1',
        'Diagnostic-Code: smtp; 550 5.7.1 Gtube',
        '    pattern',
        '',
        'Final-Recipient: rfc822; m2@one.example',
        'Action: delayed',
        'Status: 4.0.0',
        '',
        '--B',
        'Content-Type: message/rfc822',
        '',
        'Subject: =?utf-8?Q?x?=',
        'X-Test-Id: t1',
        '',
        'X-Test-Id: not this',
        '--B--',
        ''
    ].join('\r\n');

    it('reads a bounce of Postfix', async () => {
        const letter = await readLetter(Buffer.from(postfix));
        expect(letter).toMatchObject({ writer: 'postfix', testId: 't1', failedRecipients: [] });
        expect(letter.reports).toEqual([
            { finalRecipient: 'm1@one.example', action: 'failed', status: '5.7.1', diagnostic: '550 5.7.1 Gtube pattern', remoteMta: '127.20.0.1' },
            { finalRecipient: 'm2@one.example', action: 'delayed', status: '4.0.0', diagnostic: '', remoteMta: '' }
        ]);
    });

    it("reads ZoneMTA's report, also when it quotes a Postfix", async () => {
        const zonemta = postfix
            .replace('From: MAILER-DAEMON@mail.ours.example (Mail Delivery System)', 'From: Mail Delivery Subsystem <mailer-daemon@mx.ours.example>\r\nX-Failed-Recipients: m1@one.example')
            .replace('message/rfc822', 'text/rfc822-headers');
        const letter = await readLetter(Buffer.from(zonemta));
        expect(letter).toMatchObject({ writer: 'zonemta', testId: 't1', failedRecipients: ['m1@one.example'] });
    });

    it('takes an ordinary letter for what it is', async () => {
        const letter = await readLetter(Buffer.from('From: a@ours.example\r\nX-Test-Id: t7\r\nSubject: hello\r\n\r\nhello\r\n'));
        expect(letter).toMatchObject({ writer: 'other', testId: 't7', subject: 'hello', reports: [] });
        expect(readDeliveryStatus('')).toEqual([]);
    });

    it('reads folded headers', () => {
        expect(headerOf('A: 1\r\nX-Test-Id:\r\n t9\r\nB: 2', 'x-test-id')).toBe('t9');
        expect(headerOf('A: 1', 'X-Test-Id')).toBe('');
    });
});

describe('addresses', () => {
    it('are spelt one way, and reversed for PTR', () => {
        expect(canonical('::ffff:127.20.16.1')).toBe('127.20.16.1');
        expect(canonical('2001:DB8:20:ffff:0:0:0:a')).toBe('2001:db8:20:ffff::a');
        expect(reverseName('127.20.16.1')).toBe('1.16.20.127.in-addr.arpa');
        expect(reverseName('2001:db8::1')).toBe(`1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`);
    });
});
