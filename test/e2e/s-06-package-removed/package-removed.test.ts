/** The package is taken out while mail is in every phase: it goes on as plain ZoneMTA mail. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseAll, REPLIES, systemTrouble } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, queue, trail } from '../helpers';

let world: World;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        destinations: () => [
            { domain: 'later.example', behaviour: systemTrouble(1) },
            { domain: 'refused.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false, reputation: { delays: ['0s', '500ms'] } }
    });
});
afterAll(async () => world?.stop());

it('delivers what waits in the pool and what waits at the relay, once each', async () => {
    world.relay.refuses = () => ({ code: 451, lines: ['4.3.2 Not now'] });
    const relayed = await queue(world, { to: 'relayed@refused.example' });
    await eventually('one waits at the relay', async () => (await trail(world, relayed)).some(event => event.phase === 'relay' && event.verdict === 'defer'), 60_000);
    await queue(world, { to: 'pooled@later.example' });
    await world.farm.ledger.waitFor(entry => entry.to === 'pooled@later.example', 30_000, 'the first attempt');

    await world.restartZoneMta({ plugins: { index: false, rspamd: false, 'random-ip': false, reputation: false, relay: false } });
    world.relay.refuses = () => undefined;

    await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === 'pooled@later.example', 60_000, 'the delivery in the pool');
    await world.relay.ledger.waitFor(entry => entry.accepted && entry.to === 'relayed@refused.example', 60_000, 'the delivery at the relay');
    expect(world.farm.ledger.deliveries()).toHaveLength(1);
    expect(world.relay.ledger.deliveries()).toHaveLength(1);
    expect(world.sink.mails.entries()).toHaveLength(0);
});
