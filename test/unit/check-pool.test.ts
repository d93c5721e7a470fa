/** `check-pool` on a ZoneMTA folder as an operator has it, with the host's own name servers. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DnsServer, reverseZones } from '../bed/internet';
import { repository } from '../bed/repository';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { installation, RELEASES } from '../bed/zonemta';

const CLI = join(repository(), 'dist', 'bin', 'zonemta-smart-relay.js');

let claim: Loopback;
let dns: DnsServer;
beforeAll(async () => {
    claim = await claimLoopback();
    const good = reverseZones(new Map([1, 2].map(n => [`127.${claim.k}.16.${n}`, `out${n}.example`])));
    dns = await DnsServer.start({ k: claim.k, zones: { ...good, '2.0.0.127.dnsbl.example': { A: ['127.0.0.2'] }, [`2.16.${claim.k}.127.dnsbl.example`]: { A: ['127.0.0.4'] } } });
});
afterAll(async () => {
    await dns.stop();
    await claim.release();
});

describe.each(RELEASES)('the pool of a ZoneMTA %s', release => {
    const folder = mkdtempSync(join(tmpdir(), 'check-pool-'));
    const write = (addresses: object[], shared: object = {}) =>
        writeFileSync(
            join(folder, 'zone-mta.toml'),
            stringify({
                nameservers: [`${dns.address}:${dns.port}`],
                pools: { default: addresses },
                zones: { default: { pool: 'default' } },
                plugins: { 'modules/zonemta-smart-relay': { enabled: true, zones: ['default'], dnsbl: ['dnsbl.example'], ...shared }, 'modules/zonemta-smart-relay/random-ip': { enabled: ['sender'] } }
            })
        );
    const check = (...args: string[]) =>
        new Promise<{ code: number; out: string }>(resolve => {
            execFile(process.execPath, [CLI, 'check-pool', folder, ...args], (err, out, errors) => resolve({ code: Number(err?.code ?? 0), out: out + errors }));
        });

    beforeAll(() => {
        mkdirSync(folder, { recursive: true });
        symlinkSync(join(installation(release).folder, 'node_modules'), join(folder, 'node_modules'));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it('is in order', async () => {
        const address = `127.${claim.k}.16.1`;
        write([{ address, name: 'out1.example' }]);
        const { code, out } = await check();
        expect(out.split('\n').map(line => line.split(/ {2,}/))).toEqual([['zone', 'address', 'bindable', 'dnsbl', 'ptr', 'ehlo'], ['default', address, 'ok', 'ok', 'ok', 'ok'], ['']]);
        expect(code).toBe(0);
    });

    it('has each failing named, and the exit code says so', async () => {
        const [listed, nameless] = [`127.${claim.k}.16.2`, `127.${claim.k}.16.3`];
        write([{ address: listed }, { address: nameless, name: 'gone.example' }, { address: '203.0.113.1', name: 'out1.example' }]);
        const { code, out } = await check();
        expect(code).toBe(1);
        expect(out.split('\n').slice(1, 4).map(line => line.split(/ {2,}/).slice(1))).toEqual([
            [listed, 'ok', 'FAIL', 'ok', 'ok', 'listed at dnsbl.example (127.0.0.4)'],
            [nameless, 'ok', 'ok', 'FAIL', 'FAIL', 'there is no PTR record; the EHLO name gone.example does not resolve'],
            ['203.0.113.1', 'FAIL', 'ok', 'FAIL', 'ok', 'cannot be bound on this host: EADDRNOTAVAIL; there is no PTR record']
        ]);
        const { addresses } = JSON.parse((await check('--json')).out) as { addresses: { address: string; findings: { check: string; result: string }[] }[] };
        expect(addresses.map(({ address, findings }) => `${address} ${findings.filter(({ result }) => result === 'failed').map(found => found.check).join()}`)).toEqual([
            `${listed} dnsbl`,
            `${nameless} ptr,ehlo`,
            '203.0.113.1 bindable,ptr'
        ]);
    });

    it('is not looked at with wrong settings: they are named', async () => {
        write([{ address: '127.0.0.1' }], { dnsbl: 'dnsbl.example' });
        expect(await check()).toMatchObject({ code: 1, out: expect.stringContaining('dnsbl = "dnsbl.example": expected a list') as unknown });
    });
});
