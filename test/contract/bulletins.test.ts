/** What processes say of themselves, through a real Redis that may go away. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulletins } from '../../lib/health/bulletins';
import { failFast, type SharedRedis } from '../../lib/health/redis';
import { useRealRedis } from './real-redis';

const redis = useRealRedis();
let client: SharedRedis;
let now = 1_000_000;
const warnings: string[] = [];

beforeAll(async () => {
    const own = failFast(redis.place);
    await own.ready;
    client = own.client;
});

afterAll(() => client.disconnect());

function bulletinsOf(process: string, content: () => Record<string, unknown>, own: SharedRedis | undefined = client): Bulletins {
    return new Bulletins(own, 't:', process, content, () => now, err => warnings.push(err.message));
}

it('each process sees all, itself as it is now; one that is gone fades away', async () => {
    let load = 1;
    const receiver = bulletinsOf('receiver:h:1', () => ({ load }));
    const main = bulletinsOf('main:h:2', () => ({ main: true }));
    await receiver.start();
    await main.start();
    receiver.stop();
    main.stop();
    load = 2;
    expect(await main.read()).toEqual([
        { process: 'main:h:2', at: now, content: { main: true } },
        { process: 'receiver:h:1', at: now, content: { load: 1 } }
    ]);
    expect((await receiver.read()).at(1)?.content).toEqual({ load: 2 });

    now += 11_000;
    expect((await main.read()).map(({ process }) => process)).toEqual(['main:h:2']);
    expect(await redis.client.hkeys('t:bulletins')).toEqual([]);
});

it('what cannot be read, and what is too long, is nothing', async () => {
    await redis.client.hset('t:bulletins', 'other:h:3', 'null', 'other:h:4', '{"at":"x"}');
    const long = bulletinsOf('receiver:h:5', () => ({ text: 'x'.repeat(20_000) }));
    await long.start();
    long.stop();
    expect((await bulletinsOf('main:h:2', () => ({})).read()).map(({ process }) => process)).toEqual(['main:h:2']);
});

it('without Redis a process knows itself, and says so once Redis is away', async () => {
    expect(await bulletinsOf('main:h:2', () => ({ a: 1 }), undefined).read()).toHaveLength(1);
    await redis.server.stop();
    const main = bulletinsOf('main:h:2', () => ({ a: 1 }));
    await main.start();
    main.stop();
    expect(await main.read()).toEqual([{ process: 'main:h:2', at: now, content: { a: 1 } }]);
    expect(warnings.length).toBeGreaterThan(0);
});
