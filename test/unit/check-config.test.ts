/** `check-config` on a ZoneMTA folder as an operator has it, with the host's own configuration reader. */
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../bed/repository';
import { installation, RELEASES } from '../bed/zonemta';

const CLI = join(repository(), 'dist', 'bin', 'zonemta-smart-relay.js');
const MAIN = `[plugins]
# @include "plugins/*.toml"
[pools]
default = [{address="192.0.2.1", name="out1.example.com"}]
[zones.default]
pool = "default"
[zones.relay]
host = "smtp.provider.example"
pool = "default"
`;

// a scanner that answers pings, on a port of its own
const scanner = createServer((_request, response) => response.end('pong\r\n'));
let url = '';
beforeAll(async () => {
    await new Promise<void>(resolve => scanner.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(scanner.address() as AddressInfo).port}`;
});
afterAll(() => scanner.close());

function check(folder: string): Promise<{ code: number; out: string }> {
    return new Promise(resolve => {
        execFile(process.execPath, [CLI, 'check-config'], { cwd: folder }, (err, out, errors) => resolve({ code: Number(err?.code ?? 0), out: out + errors }));
    });
}

describe.each(RELEASES)('the configuration of a ZoneMTA %s', release => {
    const folder = mkdtempSync(join(tmpdir(), 'check-config-'));
    const plugins = join(folder, 'config', 'plugins');
    const edit = (name: string, from: string, to: string) => {
        const file = join(plugins, name);
        writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    };

    beforeAll(() => {
        symlinkSync(join(installation(release).folder, 'node_modules'), join(folder, 'node_modules'));
        mkdirSync(plugins, { recursive: true });
        cpSync(join(repository(), 'config', 'plugins'), plugins, { recursive: true });
        writeFileSync(join(folder, 'config', 'zonemta.toml'), MAIN);
        edit('index.toml', 'zones = []', 'zones = ["default"]');
        edit('rspamd.toml', 'http://127.0.0.1:11333', url);
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it('is without fault when the examples are used as they are', async () => {
        expect(await check(folder)).toEqual({ code: 0, out: 'config/zonemta.toml: no fault found\n' });
    });

    it('has its faults named, each with the file to open', async () => {
        edit('relay.toml', 'maxAge = "24h"', 'maxAge = "1 day"');
        const { code, out } = await check(folder);
        expect(code).toBe(1);
        expect(out).toBe('config/plugins/relay.toml: plugins."modules/zonemta-smart-relay/relay": maxAge = "1 day": expected a duration like "90s" or "24h"\n');
        edit('relay.toml', 'maxAge = "1 day"', 'maxAge = "24h"');
    });

    it('has a table that stands in two files named, of which ZoneMTA silently uses one', async () => {
        cpSync(join(plugins, 'relay.toml'), join(plugins, 'zz.toml'));
        const { code, out } = await check(folder);
        expect(code).toBe(1);
        expect(out).toContain('config/plugins/zz.toml: ["modules/zonemta-smart-relay/relay"] stands in');
        rmSync(join(plugins, 'zz.toml'));
    });

    it('has a scanner that does not answer named', async () => {
        edit('rspamd.toml', url, 'http://127.0.0.1:1');
        const { code, out } = await check(folder);
        expect(code).toBe(1);
        expect(out).toMatch(/^config\/zonemta\.toml: rspamd at http:\/\/127\.0\.0\.1:1 does not answer: /);
        edit('rspamd.toml', 'http://127.0.0.1:1', url);
    });

    it('that cannot be read at all is told with the reason', async () => {
        writeFileSync(join(plugins, 'zz.toml'), 'x = [');
        const { code, out } = await check(folder);
        expect(code).toBe(1);
        expect(out).toContain('zonemta.toml could not be read:');
        rmSync(join(plugins, 'zz.toml'));
    });
});
