/** `npm install` of the packed package into an empty folder with ZoneMTA: it loads there, in every process. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { repository } from '../../bed/repository';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'smart-relay-install-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Loads the plugins with ZoneMTA's own plugin handler, as its processes do, and prints what was loaded. */
const LOADER = `
    const PluginHandler = require('@zone-eu/wild-plugins');
    const key = name => 'modules/zonemta-smart-relay' + name;
    const plugins = Object.fromEntries(['', '/rspamd', '/random-ip', '/reputation', '/relay'].map((name, i) => [key(name), { enabled: true, ordering: i + 1 }]));
    const quiet = { info() {}, verbose() {}, error(...words) { console.error(...words); } };
    const contexts = ['main', 'receiver', 'sender'];
    const loaded = {};
    const next = () => {
        const context = contexts.shift();
        if (!context) { console.log(JSON.stringify(loaded)); process.exit(0); }
        const handler = new PluginHandler({ context, plugins, logger: quiet, db: {}, log: {} });
        handler.load(() => { loaded[context] = handler.loaded.map(plugin => plugin.title); next(); });
    };
    next();
`;

it('installs into an empty ZoneMTA folder and all its plugins load', async () => {
    const packed = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: repository() });
    const [{ filename, files }] = JSON.parse(packed.stdout) as [{ filename: string; files: { path: string }[] }];
    const paths = files.map(file => file.path);
    for (const needed of ['dist/plugins/index.js', 'dist/plugins/index.d.ts', 'config/plugins/index.toml', 'config/providers.toml', 'lua/takeReroute-11.lua', 'LICENSE', 'README.md']) {
        expect(paths).toContain(needed);
    }
    expect(paths.filter(path => path.startsWith('test/') || path.endsWith('.test.js'))).toEqual([]);

    writeFileSync(join(folder, 'package.json'), '{"name":"mta","private":true}');
    await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', 'zone-mta@3.10.3', `./${filename}`], { cwd: folder });
    const { stdout } = await run(process.execPath, ['-e', LOADER], { cwd: folder });
    const titles = ['Smart Relay', 'Smart Relay: rspamd', 'Smart Relay: random IP', 'Smart Relay: reputation', 'Smart Relay: relay'];
    expect(JSON.parse(stdout)).toEqual({ main: titles, receiver: titles, sender: titles });
}, 300_000);
