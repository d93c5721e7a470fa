/** A provider refuses a fifth of the pool: two sender processes learn it once for both, and go on with what they know when Redis is killed. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseAll, refuseShare, REPLIES, shareOf } from '../../bed/internet';
import { startRedis } from '../../bed/services/redis';
import type { Service } from '../../bed/services/process';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue } from '../helpers';

const DOMAIN = 'picky.example';
/** Deliveries that were under way when the refusal came. */
const IN_FLIGHT_MS = 1000;
const EVERY_MS = 100;

let world: World;
let redisAgain: Service | undefined;
let killedAt = 0;
let sent = 0;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        processes: 2,
        destinations: pool => [
            { domain: DOMAIN, behaviour: refuseShare(shareOf(pool.all, 0.2, 30), 'rcpt', REPLIES.spamhaus) },
            { domain: 'closed.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false }
    });
});
afterAll(async () => {
    await redisAgain?.stop();
    await world?.stop();
});

/** Submits at a steady rate and waits until all have arrived. */
async function send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
        await queue(world, { to: `m${sent++}@${DOMAIN}` });
        await new Promise(resolve => setTimeout(resolve, EVERY_MS));
    }
    await world.farm.ledger.until(entries => entries.filter(entry => entry.domain === DOMAIN && entry.accepted).length >= sent, 60_000, `${sent} messages`);
}

const attempts = () => world.farm.ledger.attempts({ domain: DOMAIN });

/** First refusal of each refused address. */
function discoveries(): Map<string, number> {
    const found = new Map<string, number>();
    for (const { client, at } of attempts().filter(entry => !entry.accepted)) {
        found.set(client, Math.min(at, found.get(client) ?? Infinity));
    }
    return found;
}

it('no address goes out to the provider again after its first refusal, and a message costs what an all-knowing sender would pay', async () => {
    await send(100);
    const found = discoveries();
    const again = attempts().filter(({ client, at }) => at > (found.get(client) ?? Infinity) + IN_FLIGHT_MS);
    expect(again.map(({ client, to }) => `${to} from ${client}`)).toEqual([]);
    const oracle = 100 + found.size;
    console.log(`100 delivered, ${attempts().length} attempts, ${found.size} blocked addresses found; an oracle would take ${oracle}`);
    expect(found.size).toBeGreaterThan(5);
    expect(attempts().length / oracle).toBeLessThanOrEqual(1.15);
});

it('Redis is killed: mail goes on, what was known holds, and each process learns what is new at most once', async () => {
    const known = discoveries();
    world.redis.kill('SIGKILL');
    killedAt = Date.now();
    await send(40);
    const later = attempts().filter(({ at }) => at > killedAt + IN_FLIGHT_MS);
    expect(later.filter(({ client }) => known.has(client)).map(({ client }) => client)).toEqual([]);
    const refused = later.filter(entry => !entry.accepted).map(({ client }) => client);
    for (const client of refused) {
        expect(refused.filter(other => other === client).length).toBeLessThanOrEqual(2);
    }
    await logLine(world, /SMART_RELAY_REDIS_AWAY/, 10_000);
});

it('Redis comes back empty: the processes tell it, and each other, what they know', async () => {
    redisAgain = await startRedis({ host: world.host, dir: world.dir });
    await new Promise(resolve => setTimeout(resolve, 4000));
    const known = discoveries();
    const backAt = Date.now();
    await send(10);
    expect(attempts().filter(({ client, at }) => at > backAt && known.has(client)).map(({ client }) => client)).toEqual([]);
});

it('where everything is refused, the pool is given up after a few messages, the operator is told, and the rest goes to the relay untried', async () => {
    for (let n = 0; n < 12; n++) {
        await queue(world, { to: `c${n}@closed.example` });
        await new Promise(resolve => setTimeout(resolve, EVERY_MS));
    }
    const relayed = () => world.relay.ledger.deliveries(({ to }) => to.endsWith('@closed.example')).length;
    await eventually('the first twelve are relayed', () => relayed() === 12, 90_000);
    const before = world.farm.ledger.attempts({ domain: 'closed.example' }).length;
    console.log(`12 messages for a provider that refuses all: ${before} attempts (without a memory 60)`);
    expect(before).toBeLessThan(60);
});

it('the operator sees what is suspended, and ends it by its id', async () => {
    const { body } = await world.zonemta.api('/plugin/smart-relay/suspensions');
    const { suspensions } = body as { suspensions: { id: string; provider: string; scope: string }[] };
    const address = suspensions.find(({ provider, scope }) => provider === DOMAIN && discoveries().has(scope));
    const path = `/plugin/smart-relay/suspensions/${address?.id}`;
    expect(await world.zonemta.api(path, { method: 'DELETE' })).toMatchObject({ status: 200, body: { provider: DOMAIN, scope: address?.scope } });
    expect((await world.zonemta.api(path, { method: 'DELETE' })).status).toBe(404);
    const shown = await world.zonemta.api(`/plugin/smart-relay/addresses?provider=${DOMAIN}&state=suspended`);
    const listed = (shown.body as { addresses: { address: string }[] }).addresses.map(entry => entry.address);
    // a range that was suspended with some of its addresses is listed whole
    expect(listed).toEqual(expect.arrayContaining([...discoveries().keys()].filter(client => client !== address?.scope)));
    const left = await world.zonemta.api('/plugin/smart-relay/suspensions');
    expect(JSON.stringify(left.body)).not.toContain(`"${address?.id}"`);
});
