/** Two relay hosts on one queue, two senders each: what one is refused all avoid, and whoever is killed, the mail goes on. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, refuseShare, REPLIES, shareOf, timeout } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import type { ZoneMta } from '../../bed/zonemta';
import { queue } from '../helpers';

const DOMAIN = 'picky.example';
const EVERY_MS = 100;
/** A delivery whose final dot was unanswered when its sender died may come again: SMTP's own window (RFC 5321, 6.1). */
const WINDOW_MS = 2000;

let world: World;
let second: ZoneMta;
let sent = 0;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        processes: 2,
        destinations: pool => [
            { domain: DOMAIN, behaviour: refuseShare(shareOf(pool.all, 0.2, 34), 'rcpt', REPLIES.spamhaus) },
            { domain: 'hanging.example', behaviour: timeout() }
        ],
        plugins: { rspamd: false }
    });
    second = await world.startSecond();
});
afterAll(async () => world?.stop());

const attempts = () => world.farm.ledger.attempts({ domain: DOMAIN });
const accepted = (domain: string) => world.farm.ledger.deliveries(entry => entry.domain === domain);

/** Submits to both hosts in turn, at a steady rate. */
async function send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
        await queue(sent % 2 === 0 ? world : { zonemta: second }, { to: `m${sent++}@${DOMAIN}` });
        await new Promise(resolve => setTimeout(resolve, EVERY_MS));
    }
}

const arrive = () => world.farm.ledger.until(() => new Set(accepted(DOMAIN).map(({ to }) => to)).size >= sent, 60_000, `${sent} messages`);

/** The senders of the default zone that an instance's log tells of, by process id. */
function sendersOf(instance: ZoneMta): number[] {
    const log = readFileSync(instance.logFile, 'latin1');
    return [...new Set([...log.matchAll(/Sender\/default\/(\d+)\[\d+\] id=/g)].map(([, pid]) => Number(pid)))];
}

it('all four senders avoid an address within a second of its first refusal', async () => {
    await send(60);
    await arrive();
    const first = new Map<string, number>();
    for (const { client, at, accepted: welcome } of attempts()) {
        if (!welcome) {
            first.set(client, Math.min(at, first.get(client) ?? Infinity));
        }
    }
    const late = attempts().flatMap(({ client, at }) => (at > (first.get(client) ?? Infinity) ? [at - (first.get(client) ?? 0)] : []));
    console.log(`${first.size} addresses refused in ${attempts().length} attempts; used again after their first refusal: ${late.length ? late.join(', ') + ' ms later' : 'never'}`);
    expect(first.size).toBeGreaterThan(5);
    expect(Math.max(0, ...late)).toBeLessThanOrEqual(1000);
    expect(accepted(DOMAIN)).toHaveLength(sent);
});

it('the senders are killed in the middle of their deliveries: others take these up within a minute, once', async () => {
    const recipients = Array.from({ length: 6 }, (_, n) => `h${n}@hanging.example`);
    for (const to of recipients) {
        await queue({ zonemta: second }, { to });
    }
    await world.farm.ledger.until(entries => entries.filter(({ domain }) => domain === 'hanging.example').length >= recipients.length, 30_000, 'all are under way');
    const killed = [world.zonemta, second].flatMap(sendersOf);
    expect(killed).toHaveLength(4);
    killed.forEach(pid => process.kill(pid, 'SIGKILL'));
    const killedAt = Date.now();
    await world.farm.setBehaviour('hanging.example', accept());
    await world.farm.ledger.until(() => accepted('hanging.example').length >= recipients.length, 90_000, 'all are delivered');
    const waited = Math.max(...accepted('hanging.example').map(({ at }) => at - killedAt));
    console.log(`${killed.length} senders killed: all of their deliveries were delivered ${Math.round(waited / 1000)} s later at the latest`);
    expect(waited).toBeLessThan(60_000);
    expect(accepted('hanging.example').map(({ to }) => to).sort()).toEqual(recipients);
});

it('a whole host is killed: the other goes on, and what the killed one held follows when it is back', async () => {
    const before = sent;
    await send(10);
    second.kill('SIGKILL');
    const killedAt = Date.now();
    for (let n = 0; n < 10; n++) {
        await queue(world, { to: `m${sent++}@${DOMAIN}` });
    }
    const later = Array.from({ length: 10 }, (_, n) => `m${before + 10 + n}@${DOMAIN}`);
    await world.farm.ledger.until(() => later.every(to => accepted(DOMAIN).some(entry => entry.to === to)), 60_000, 'the mail of the host that lives');
    second = await world.startSecond();
    await arrive();
    const isExcused = (recipient: string) => accepted(DOMAIN).some(({ to, at }) => to === recipient && Math.abs(at - killedAt) <= WINDOW_MS);
    const recipients = accepted(DOMAIN).map(({ to }) => to);
    const doubled = recipients.filter((to, index) => recipients.indexOf(to) !== index);
    expect(doubled.filter(to => !isExcused(to))).toEqual([]);
});
