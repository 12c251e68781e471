using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Verification;

/// <summary>
/// Follows the hashes from entry to entry. After a hash that does not fit, the next entry may follow what was written
/// or what should have been written: so that one damaged entry is one finding, whichever part of it was damaged.
/// </summary>
internal sealed class ChainCheck(RunId run)
{
    private List<ReadOnlyMemory<byte>> _predecessors = [ReadOnlyMemory<byte>.Empty];
    private bool _begun;

    /// <param name="afterGap">The entry before it is missing, so nobody knows its hash.</param>
    internal void Add(JournalEntry entry, bool afterGap, FindingList found)
    {
        // Journals older than the chain begin without one.
        if (entry.Chain.IsEmpty && !_begun)
            return;
        var computed = _predecessors.ConvertAll(previous => (ReadOnlyMemory<byte>)JournalChain.Next(previous.Span, run, entry));
        if (entry.Chain.IsEmpty)
        {
            found.Add(entry.Seq, FindingCode.ChainMissing, $"{entry.Kind} has no hash, and entries before it have");
            _predecessors = computed;
            return;
        }

        _begun = true;
        var fits = computed.Exists(hash => hash.Span.SequenceEqual(entry.Chain.Span));
        if (!fits && !afterGap)
            found.Add(entry.Seq, FindingCode.ChainBroken, $"the hash of this {entry.Kind} does not fit it and the entries before it");
        _predecessors = fits ? [entry.Chain] : [entry.Chain, computed[0]];
    }
}
