/**
 * The whole way, as the demo shows it: mail through Postfix is scanned, sent from random addresses, rerouted when an
 * address is refused, handed to the relay when all are, and what nobody takes comes back to its author exactly once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { destinations, relayRefuses } from '../../bed/demo/plan';
import { play } from '../../bed/demo/play';
import { report, type Run } from '../../bed/demo/report';
import { startWorld, type World } from '../../bed/world';
import type { Release } from '../../bed/zonemta';

const MESSAGES = 80;
const SEED = 20;
/** The demo has the usual delays, the last of half a minute. */
const REPUTATION = { delays: ['0s', '1s', '2s', '4s'] };
/** Nor does it wait as long as the demo for a server that never answers (ms). */
const QUEUE = { deferTimes: [3000, 4000, 5000] };

export function tellWholePath(release: Release): void {
    describe(`the whole path on ZoneMTA ${release}`, () => {
        let world: World | undefined;
        let run: Run;

        beforeAll(async () => {
            world = await startWorld({ release, destinations: pool => destinations(pool, SEED), relayRefuses, rspamds: 2, postfix: true, plugins: { reputation: REPUTATION }, config: { queue: QUEUE } });
            run = await play(world, { messages: MESSAGES, seed: SEED, progress: false });
        }, 300_000);

        afterAll(async () => world?.stop());

        it('brings every message to its rightful end, exactly once', () => {
            expect(run.faults, report(run)).toEqual([]);
            expect(run).toMatchObject({ messages: MESSAGES, lost: 0, duplicated: 0, relayMisuse: 0, rejectedClean: 0, dsnPerBounced: 1, delayNotices: 0 });
        });

        it('refuses spam and viruses at submission, and Postfix tells the author', () => {
            expect(run.rejectedSpam).toBeGreaterThan(0);
            expect(run.rejectedVirus).toBeGreaterThan(0);
            const texts = world?.sink.mails.entries(mail => mail.writer === 'postfix').map(mail => mail.text.replace(/\s+/g, ' ')) ?? [];
            expect(texts.some(text => text.includes('Virus found: EICAR-Test'))).toBe(true);
            expect(texts.some(text => /Gtube pattern/i.test(text))).toBe(true);
        });

        it('keeps the address of a greylisted delivery', () => {
            expect(run.greylistKept.total).toBeGreaterThan(0);
            expect(run.greylistKept.kept).toBe(run.greylistKept.total);
        });

        it('logs in at the relay over TLS only', () => {
            expect(run.relayed).toBeGreaterThan(0);
            expect(world?.relay.loginsInClear).toBe(0);
        });

        it('tells the author of a message that the relay refused what was tried', () => {
            const letters = world?.sink.mails.entries(mail => mail.writer === 'zonemta' && mail.failedRecipients.some(to => to.startsWith('gone-'))) ?? [];
            const text = letters[0]?.text.replace(/\s+/g, ' ') ?? '';
            // once all addresses are suspended there, a message goes to the relay untried
            expect(text).toMatch(/What was tried: \d attempts? from \d address(es)? of ours.* blocked using zen\.spamhaus\.org|No attempt from addresses of ours was made/);
            expect(text).toContain('handed to another provider (relay.example)');
            expect(text).toContain('The email account that you tried to reach does not exist');
        });
    });
}
