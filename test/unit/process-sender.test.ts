/** Whose mail is it: what the budgets are counted by. */
import { describe, expect, it } from 'vitest';
import { senderOf, type SenderRules, type Submission } from '../../lib/process/sender';

const RULES: SenderRules = { senderHeader: 'X-Sender', trustedNetworks: ['10.0.0.0/8', '2001:db8:5::/48'] };
const MAIL: Submission = { user: '', origin: '10.1.2.3', header: ['customer-7'], from: 'Author@Ours.Example' };

describe('the sender of a message', () => {
    it('is the authenticated user, whatever a header says', () => {
        expect(senderOf(RULES, { ...MAIL, user: 'login' })).toEqual({ sender: 'login', guess: false });
    });

    it('is what the mailbox server of a trusted network names', () => {
        for (const origin of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8:5::25']) {
            expect(senderOf(RULES, { ...MAIL, origin })).toEqual({ sender: 'customer-7', guess: false });
        }
    });

    it('is the topmost header: the one below came with the message', () => {
        expect(senderOf(RULES, { ...MAIL, header: ['ours', 'theirs'] }).sender).toBe('ours');
    });

    it('is the envelope sender, marked as a guess, from anywhere else', () => {
        for (const origin of ['192.0.2.1', '2001:db8:6::25', '', 'unknown', '::ffff:192.0.2.1']) {
            expect(senderOf(RULES, { ...MAIL, origin })).toEqual({ sender: 'author@ours.example', guess: true });
        }
        expect(senderOf(RULES, { ...MAIL, header: [] })).toEqual({ sender: 'author@ours.example', guess: true });
        expect(senderOf(RULES, { ...MAIL, header: [' '] })).toEqual({ sender: 'author@ours.example', guess: true });
    });

    it('is bounded and on one line, wherever it comes from', () => {
        const long = `a\r\nb${'x'.repeat(1000)}`;
        for (const mail of [{ ...MAIL, user: long }, { ...MAIL, header: [long] }, { ...MAIL, origin: '', from: long }]) {
            expect(senderOf(RULES, mail).sender).toMatch(/^a bx{316}…$/);
        }
    });
});
