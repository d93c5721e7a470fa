import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { SetupError, run, say, which } from './run.mjs';

/** The programs that the bed runs, the package each comes in, and the units which that package would enable. */
const needed = [
    { program: 'redis-server', package: 'redis-server', units: ['redis-server'] },
    { program: 'rspamd', package: 'rspamd', units: ['rspamd'] },
    { program: 'clamd', package: 'clamav-daemon', units: ['clamav-daemon', 'clamav-daemon.socket', 'clamav-freshclam'] },
    { program: 'postfix', package: 'postfix', units: ['postfix'] },
    { program: 'nginx', package: 'nginx-light', units: ['nginx'] },
    { program: 'ip', package: 'iproute2', units: [] }
];

const policy = '/usr/sbin/policy-rc.d';

/** Installs the Debian packages whose programs are missing; none of their services is started or enabled. */
export async function installServices() {
    const missing = needed.filter(entry => !which(entry.program));
    if (!missing.length) return;
    const packages = missing.map(entry => entry.package);
    const install = ['install', '-y', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', ...packages];
    const byHand = `apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${packages.join(' ')}`;
    const names = missing.map(entry => entry.program).join(', ');
    if (!which('apt-get')) {
        throw new SetupError(`programs are missing: ${names}`, { mend: 'install them with the package manager of this system' });
    }
    if (process.getuid() !== 0) {
        throw new SetupError(`programs are missing: ${names}`, { mend: `run as root: ${byHand}` });
    }

    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const mend = `mend what apt-get says, then: ${byHand}`;
    const what = `cannot install the Debian packages ${packages.join(' ')}`;
    await withoutStarting(async () => {
        await run('apt-get', ['update'], { env, what, mend });
        await run('apt-get', install, { env, what, mend });
    });
    await disable(missing.flatMap(entry => entry.units));

    const still = missing.filter(entry => !which(entry.program));
    if (still.length) throw new SetupError(`still missing after the installation: ${still.map(entry => entry.program).join(', ')}`, { mend });
    say(`installed the Debian packages ${packages.join(' ')} (services neither started nor enabled)`);
}

/** Maintainer scripts ask policy-rc.d before they start a service: 101 means "not allowed". */
async function withoutStarting(action) {
    const ours = !existsSync(policy);
    if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    try {
        await action();
    } finally {
        if (ours) rmSync(policy, { force: true });
    }
}

/** The bed runs private instances: nothing of it belongs into the next boot of somebody's machine. */
async function disable(units) {
    if (!units.length || !existsSync('/run/systemd/system')) return;
    await run('systemctl', ['disable', '--now', '--quiet', ...units], { what: 'cannot stop and disable the new services' });
}
