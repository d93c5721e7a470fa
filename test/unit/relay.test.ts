/** Which mail the external provider may never see. */
import { describe, expect, it } from 'vitest';
import { relaysFor, type RelayRules } from '../../lib/relay/eligible';

const RULES: RelayRules = { zones: ['relay', 'second-relay'], exclude: [], nullSender: false };
const ENVELOPE = { from: 'author@ours.example', recipient: 'reader@theirs.example' };

describe('the relay', () => {
    it('takes mail, in the order of its zones', () => {
        expect(relaysFor(RULES, ENVELOPE)).toEqual(['relay', 'second-relay']);
    });

    it('does not see bounces and notices unless the operator wants it', () => {
        expect(relaysFor(RULES, { ...ENVELOPE, from: '' })).toEqual([]);
        expect(relaysFor({ ...RULES, nullSender: true }, { ...ENVELOPE, from: '' })).toEqual(['relay', 'second-relay']);
    });

    it.each([
        ['a recipient of an excluded domain', ['theirs.example'], ENVELOPE],
        ['whatever its case', ['Theirs.Example'], { ...ENVELOPE, recipient: 'reader@THEIRS.example' }],
        ['a sender of an excluded domain', ['ours.example'], ENVELOPE],
        ['a sub-domain, written with a dot', ['.theirs.example'], { ...ENVELOPE, recipient: 'reader@a.b.theirs.example' }],
        ['a sub-domain, written with a star', ['*.theirs.example'], { ...ENVELOPE, recipient: 'reader@a.theirs.example' }],
        ['an address with a quoted @', ['theirs.example'], { ...ENVELOPE, recipient: '"a@b"@theirs.example' }],
        ['an international domain as ZoneMTA shows it', ['xn--bcher-kva.example'], { ...ENVELOPE, recipient: 'leser@bücher.example' }]
    ])('does not see %s', (_name, exclude, envelope) => {
        expect(relaysFor({ ...RULES, exclude }, envelope)).toEqual([]);
    });

    it.each([
        ['the sub-domain of an excluded domain', ['theirs.example'], 'reader@a.theirs.example'],
        ['the domain itself when its sub-domains are excluded', ['.theirs.example'], 'reader@theirs.example'],
        ['a domain that only ends alike', ['theirs.example', '.theirs.example'], 'reader@not-theirs.example']
    ])('sees %s', (_name, exclude, recipient) => {
        expect(relaysFor({ ...RULES, exclude }, { ...ENVELOPE, recipient })).toEqual(RULES.zones);
    });
});
