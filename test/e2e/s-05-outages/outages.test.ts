/** Redis, DNS and the relay go away while mail flows, and come back. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, refuseAll, refuseShare, REPLIES } from '../../bed/internet';
import { startRedis } from '../../bed/services/redis';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue, trail } from '../helpers';

let world: World;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        destinations: pool => [
            { domain: 'open.example', behaviour: accept() },
            { domain: 'listed.example', behaviour: refuseShare(client => !pool.ipv4.slice(256).includes(client), 'rcpt', REPLIES.spamhaus) },
            { domain: 'refused.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false, reputation: { delays: ['0s', '500ms'] } }
    });
});
afterAll(async () => world?.stop());

it('goes on sending and rerouting without Redis, and says that it is away', async () => {
    world.redis.kill('SIGKILL');
    const to = 'no-redis@listed.example';
    await queue(world, { to });
    await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === to, 60_000, 'a rerouted message without Redis');
    await logLine(world, /SMART_RELAY_REDIS_AWAY/, 10_000);
    const redis = await startRedis({ host: world.host, dir: world.dir });
    try {
        await queue(world, { to: 'redis-back@listed.example' });
        await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === 'redis-back@listed.example', 60_000, 'a message with Redis back');
    } finally {
        await redis.stop();
    }
});

it('waits while DNS is away, without a bounce, and delivers when it is back', async () => {
    world.dns.pause('failing');
    const to = 'no-dns@open.example';
    const id = await queue(world, { to });
    await eventually('the delivery was tried', async () => /ERRCONNECT|DEFERRED/.test(await logLine(world, new RegExp(`${id}\\.001 (ERRCONNECT|DEFERRED)`), 60_000)), 60_000);
    world.dns.resume();
    // ZoneMTA keeps the failure of the domain for two minutes
    await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === to, 180_000, 'the message after the outage').catch(async err => {
        throw new Error(`${(err as Error).message}: ${JSON.stringify(await trail(world, id))}`);
    });
    expect(world.sink.mails.entries()).toHaveLength(0);
}, 240_000);

it('waits for a relay that shows a wrong certificate, and never logs in there', async () => {
    world.relay.showCertificate('wrong');
    const to = 'wrong-cert@refused.example';
    const id = await queue(world, { to });
    await eventually('the relay was tried', async () => (await trail(world, id)).some(event => event.phase === 'relay'), 60_000);
    expect(world.relay.ledger.attempts()).toHaveLength(0);
    expect(world.sink.mails.entries()).toHaveLength(0);
    world.relay.showCertificate('right');
});
