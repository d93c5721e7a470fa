/** kill -9 of all of ZoneMTA in the middle of the traffic. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, refuseAll, refuseShare, REPLIES, shareOf } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { queue } from '../helpers';

const EACH = 12;
const DOMAINS = ['open.example', 'listed.example', 'refused.example'];
/** A delivery whose final dot was unanswered when the process died may come again: SMTP's own window (RFC 5321, 6.1). */
const WINDOW_MS = 1000;

let world: World;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        destinations: pool => [
            { domain: 'open.example', behaviour: accept() },
            { domain: 'listed.example', behaviour: refuseShare(shareOf(pool.all, 0.5, 3), 'rcpt', REPLIES.spamhaus) },
            { domain: 'refused.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false, reputation: { delays: ['0s', '500ms'] } }
    });
});
afterAll(async () => world?.stop());

it('loses nothing, and doubles nothing but what was in flight at that moment', async () => {
    const recipients = DOMAINS.flatMap(domain => Array.from({ length: EACH }, (_, n) => `m${n}@${domain}`));
    for (const to of recipients) {
        await queue(world, { to });
    }
    const accepted = () => [...world.farm.ledger.deliveries(), ...world.relay.ledger.deliveries()];
    await world.farm.ledger.until(() => accepted().length >= recipients.length / 3, 60_000, 'a third of the mail');
    const killedAt = Date.now();
    world.zonemta.kill('SIGKILL');
    await world.restartZoneMta();
    const all = () => new Set(accepted().map(entry => entry.to)).size === recipients.length;
    await Promise.race([world.farm.ledger.until(all, 120_000, 'all of it'), world.relay.ledger.until(all, 120_000, 'all of it')]);

    const counts = new Map<string, number>();
    for (const entry of accepted()) {
        counts.set(entry.to, (counts.get(entry.to) ?? 0) + 1);
    }
    const doubled = [...counts].filter(([, count]) => count > 1).map(([to]) => to);
    const excused = doubled.filter(to => accepted().some(entry => entry.to === to && Math.abs(entry.at - killedAt) <= WINDOW_MS));
    expect(doubled).toEqual(excused);
    expect(world.sink.mails.entries()).toHaveLength(0);
});
