/** A message on its way in: small ones in memory, large ones in a file that nobody finds. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { readlink, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { Envelope } from '@zone-eu/types';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Collector, Spool, sweepSpool, type Body } from '../../lib/zonemta/body';

const KIB = 1024;
let dir: string;

beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'scan-body-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function bytesOf(body: Body): Promise<Buffer> {
    const read = body.read();
    return Buffer.isBuffer(read) ? read : Buffer.concat(await Readable.from(read).toArray());
}

/** Files of this test that the process holds open. */
async function openFiles(): Promise<number> {
    const links = await Promise.all((await readdir('/proc/self/fd')).map(fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    return links.filter(path => path.startsWith(dir)).length;
}

function collect(limit = 1024 * KIB) {
    const envelope: Envelope = { id: '1' };
    const source = new PassThrough();
    const destination = new PassThrough();
    const collector = new Collector(() => ({ limit, memory: 64 * KIB, dir }));
    collector.collect(envelope, source, destination);
    const passed = destination.toArray() as Promise<Buffer[]>;
    return { envelope, source, destination, collector, passed };
}

it.each([0, 1, 64 * KIB, 64 * KIB + 1, 1024 * KIB])('a message of %i bytes comes out as it went in, twice', async size => {
    const message = randomBytes(size);
    const { envelope, source, collector, passed } = collect();
    Readable.from([message.subarray(0, size / 3), message.subarray(size / 3)]).pipe(source);
    expect(Buffer.concat(await passed).equals(message)).toBe(true);
    const body = (await collector.take(envelope)) as Body;
    const hash = (data: Buffer) => createHash('md5').update(data).digest('hex');
    expect([body.size, hash(await bytesOf(body)), hash(await bytesOf(body))]).toEqual([size, hash(message), hash(message)]);
    expect([readdirSync(dir), await openFiles()]).toEqual([[], size > 64 * KIB ? 1 : 0]);
    await body.dispose();
    expect(await openFiles()).toBe(0);
});

it('a message over the limit passes on, but nothing of it is kept', async () => {
    const { envelope, source, collector, passed } = collect(200 * KIB);
    Readable.from([randomBytes(150 * KIB), randomBytes(150 * KIB)]).pipe(source);
    expect(Buffer.concat(await passed)).toHaveLength(300 * KIB);
    expect(await collector.take(envelope)).toBe('oversize');
    expect(await openFiles()).toBe(0);
});

it('a message that is cut off leaves nothing behind', async () => {
    const { envelope, source, destination, collector } = collect();
    destination.on('error', () => undefined).resume();
    source.write(randomBytes(500 * KIB));
    await vi.waitFor(async () => expect(await openFiles()).toBe(1));
    source.destroy();
    expect(await collector.take(envelope)).toBeUndefined();
    await vi.waitFor(async () => expect(await openFiles()).toBe(0));
});

it('a message whose client vanishes without an event is given up in the end', async () => {
    const spool = new Spool({ limit: 1024 * KIB, memory: 1, dir, abandonedAfter: 700 });
    spool.write(randomBytes(KIB));
    await vi.waitFor(async () => expect(await openFiles()).toBe(1), { timeout: 10_000, interval: 10 });
    await vi.waitFor(async () => expect(await openFiles()).toBe(0), { timeout: 10_000 });
    await expect(spool.body()).rejects.toThrow();
});

it('a full disk stops the scan, not the message', async () => {
    const { envelope, source, collector, passed } = collect();
    rmSync(dir, { recursive: true });
    Readable.from([randomBytes(300 * KIB), randomBytes(300 * KIB)]).pipe(source);
    expect(Buffer.concat(await passed)).toHaveLength(600 * KIB);
    expect(await collector.take(envelope)).toBeUndefined();
});

it('what a killed process left is swept, what is being written now is not', async () => {
    for (const name of ['smart-relay-scan-old', 'smart-relay-scan-new', 'other']) {
        writeFileSync(join(dir, name), 'x');
    }
    const now = Date.now();
    for (const name of ['smart-relay-scan-old', 'other']) {
        utimesSync(join(dir, name), (now - 120_000) / 1000, (now - 120_000) / 1000);
    }
    await sweepSpool(now, dir);
    expect(readdirSync(dir)).toEqual(['other', 'smart-relay-scan-new']);
});
