/** The deployment's files are read by the programs that they are for. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const DEPLOY = join(__dirname, '../../deploy/rspamd');
let dir: string;

beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'deploy-rspamd-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(program: string, args: string[]): string {
    return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', timeout: 100_000 });
}

it('rspamd takes the configuration of a filter server', () => {
    cpSync(join(DEPLOY, 'local.d'), join(dir, 'local.d'), { recursive: true });
    for (const name of ['db', 'run', 'log']) {
        mkdirSync(join(dir, name));
    }
    const places = { LOCAL_CONFDIR: dir, DBDIR: join(dir, 'db'), RUNDIR: join(dir, 'run'), LOGDIR: join(dir, 'log') };
    const dump = run('rspamadm', [...Object.entries(places).map(([name, value]) => `--var=${name}=${value}`), 'configdump', '-c', '/etc/rspamd/rspamd.conf']);
    expect(dump).toContain('10.20.0.11:11333');
    expect(dump).toContain('round-robin:10.20.0.11:11333,10.20.0.12:11333,10.20.0.13:11333');
    expect(dump).toContain('CLAM_VIRUS');
    expect(dump).toContain('10.20.0.20:6379');
});

it('nginx takes the configuration of the balancer', () => {
    // the address is nobody's here, and nginx -t binds
    const group = readFileSync(join(DEPLOY, 'nginx/filter-group.conf'), 'utf8').replace('listen 10.20.0.10:11330', 'listen 127.0.0.1:0');
    writeFileSync(join(dir, 'filter-group.conf'), group.replace('127.0.0.1:0', `unix:${join(dir, 'nginx.sock')}`));
    writeFileSync(join(dir, 'nginx.conf'), `pid ${join(dir, 'nginx.pid')}; error_log stderr; events {} http { access_log off; include ${join(dir, 'filter-group.conf')}; }`);
    expect(() => run('nginx', ['-t', '-q', '-c', join(dir, 'nginx.conf')])).not.toThrow();
});

it('Postfix knows every parameter of the inbound side', () => {
    const config = join(dir, 'postfix');
    mkdirSync(config);
    writeFileSync(join(config, 'main.cf'), `compatibility_level = 3.6\n${readFileSync(join(DEPLOY, 'postfix/main.cf'), 'utf8')}`);
    writeFileSync(join(config, 'master.cf'), '');
    expect(run('postconf', ['-c', config, '-n'])).toContain('milter_default_action = tempfail');
});
