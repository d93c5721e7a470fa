/** A provider refuses a fifth of the pool: two sender processes learn it once for both, and go on with what they know when Redis is killed. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseAll, refuseShare, REPLIES, shareOf } from '../../bed/internet';
import { startRedis } from '../../bed/services/redis';
import type { Service } from '../../bed/services/process';
import { startWorld, type Pool, type World } from '../../bed/world';
import { chiSquared, limitAt0001 } from '../../chi-squared';
import { eventually, logLine, queue, trail } from '../helpers';

const DOMAIN = 'picky.example';
/** `npm run chaos:pool` sends 5,000. */
const MESSAGES = Number(process.env['POOL_MESSAGES'] ?? 99);
/** Long enough to count how evenly the addresses of each family are used: several deliveries for each of them. */
const isLong = MESSAGES >= 4000;
/** Deliveries that were under way when the refusal came. */
const IN_FLIGHT_MS = 1000;
const EVERY_MS = 100;

const SEEDS = [30, 31, 32];

let world: World;
let redisAgain: Service | undefined;
let killedAt = 0;
let sent = 0;
/** Recipient by id of the message. */
const submitted = new Map<string, string>();

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        processes: 2,
        destinations: pool => [
            { domain: DOMAIN, behaviour: refuseShare(blockedIn(pool, SEEDS[0] ?? 0), 'greeting', REPLIES.spamhaus), ipv6: isLong },
            { domain: 'closed.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false }
    });
});
afterAll(async () => {
    await redisAgain?.stop();
    await world?.stop();
});

/** A fifth of the pool. */
function blockedIn(pool: Pool, seed: number): ReadonlySet<string> {
    return shareOf(pool.all, 0.2, seed);
}

/** Submits at a steady rate and waits until all have arrived. */
async function send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
        const to = `m${sent++}@${DOMAIN}`;
        submitted.set(await queue(world, { to }), to);
        if (!isLong) {
            await new Promise(resolve => setTimeout(resolve, EVERY_MS));
        }
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

/** The messages that were refused at first, by id. */
function rescued(): string[] {
    const log = readFileSync(world.zonemta.logFile, 'latin1');
    return [...log.matchAll(/"_smart_relay_code":"DELIVERED","_smart_relay_id":"(\w+)\.\d+".*?"_smart_relay_attempts":"(\d+)"/g)].flatMap(([, id = '', count]) => (Number(count) > 1 ? [id] : []));
}

/** From the first refusal to the acceptance of these messages; shortest first, ms. */
async function rescueTimes(ids: readonly string[]): Promise<number[]> {
    const acceptedAt = new Map(attempts().flatMap(({ to, at, accepted }) => (accepted ? [[to, at] as const] : [])));
    const times: number[] = [];
    for (const id of ids) {
        const [first] = await trail(world, id);
        times.push((acceptedAt.get(submitted.get(id) ?? '') ?? Infinity) - (first?.attempt?.at ?? Infinity));
    }
    return times.sort((a, b) => a - b);
}

it('a message costs what an all-knowing sender would pay, also when other addresses are refused than before; none goes out again after its refusal', async () => {
    const sets = SEEDS.map(seed => blockedIn(world.pool, seed));
    const begun: number[] = [];
    for (const blocked of sets) {
        begun.push(Date.now());
        await world.farm.setBehaviour(DOMAIN, refuseShare(blocked, 'greeting', REPLIES.spamhaus));
        await send(Math.ceil(MESSAGES / sets.length));
    }
    const found = discoveries();
    const again = attempts().filter(({ client, at, accepted }) => !accepted && at > (found.get(client) ?? Infinity) + IN_FLIGHT_MS);
    const late = rescued();
    const times = await rescueTimes(late);
    const [p50 = 0, p99 = 0] = [0.5, 0.99].map(share => times[Math.floor(times.length * share)] ?? 0);
    const oracle = sent + found.size;
    console.log(`${sent} delivered, ${attempts().length} attempts, ${found.size} blocked addresses found; an oracle would take ${oracle}; refused again ${again.length}`);
    console.log(`${times.length} messages rescued, from the first refusal to the acceptance: p50 ${p50} ms, p99 ${p99} ms`);
    expect(found.size).toBeGreaterThan(5);
    expect(attempts().length / oracle).toBeLessThanOrEqual(1.15);
    if (!isLong) {
        // a long run sees suspensions end, and probes refused
        expect(again.map(({ client }) => client)).toEqual([]);
        return;
    }
    expect(p99).toBeLessThan(30_000);
    // a second draw goes to another range on purpose, and this pool has a small one
    const drawnAgain = new Set(late.map(id => submitted.get(id)));
    const first = attempts().filter(({ to, accepted }) => accepted && !drawnAgain.has(to));
    const healthy = world.pool.all.filter(address => !sets.some(blocked => blocked.has(address)));
    for (const family of ['ipv4', 'ipv6'] as const) {
        // each /64 gets its part of IPv6, however many of its addresses are healthy
        const rangeOf = (address: string) => (family === 'ipv6' ? address.split(':').slice(0, 4).join(':') : family);
        const ours = healthy.filter(address => world.pool[family].includes(address));
        const counts = (range: string) => ours.filter(address => rangeOf(address) === range).map(address => first.filter(({ client }) => client === address).length);
        const ranges = [...new Set(ours.map(rangeOf))].map(counts);
        const [statistic, limit] = [ranges.reduce((sum, range) => sum + chiSquared(range), 0), limitAt0001(ours.length - ranges.length)];
        const all = ranges.flat();
        console.log(`${all.length} healthy ${family} addresses, ${Math.min(...all)} to ${Math.max(...all)} first deliveries each: chi-squared ${statistic.toFixed(1)}, limit for p > 0.001: ${limit.toFixed(1)}`);
        expect(statistic).toBeLessThan(limit);
    }
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
