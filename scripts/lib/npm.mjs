import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run, say } from './run.mjs';
import { hash, isStamped, writeStamp } from './stamp.mjs';

const keptConfig = new Set(['npm_config_registry', 'npm_config_cache', 'npm_config_cafile']);

/** The folders of the ZoneMTA releases that the test bed runs. */
export const hosts = ['test/bed/hosts/zonemta-3.10.3', 'test/bed/hosts/zonemta-3.11.0'];

/**
 * Runs the npm that runs us, or else the one on PATH. `npm test` hands its own options down as npm_config_*: an
 * `ignore-scripts` or `omit=dev` meant for the caller must not change what is installed here.
 */
export function npm(args, { cwd, what, mend }) {
    const env = Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name) || keptConfig.has(name.toLowerCase()))
    );
    const cli = process.env.npm_execpath;
    const ours = cli && basename(cli) === 'npm-cli.js';
    return run(ours ? process.execPath : 'npm', ours ? [cli, ...args] : args, { cwd, env, what, mend });
}

/** Installs what a lock file says, unless that is what is installed. */
async function installLocked(cwd, name, flags) {
    const value = hash(readFileSync(join(cwd, 'package-lock.json')), process.version, process.arch);
    const stamp = join(cwd, 'node_modules', '.setup-stamp');
    if (isStamped(stamp, value)) return;
    await npm(['ci', ...flags, '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd,
        what: `cannot install the npm packages of ${name}`,
        mend: 'see the message of npm above; the packages of package-lock.json must be reachable or in the cache of npm'
    });
    writeStamp(stamp, value);
    say(`installed the npm packages of ${name}`);
}

/** The packages of this repository. */
export async function installRoot(root) {
    await installLocked(root, 'the root', ['--include=dev']);
}

/** Both ZoneMTA releases, as their users install them. */
export async function installHosts(root) {
    for (const host of hosts) await installLocked(join(root, host), host, ['--ignore-scripts']);
}
