using System.Text;
using Caisson.Core.Journal;
using CsCheck;

namespace Caisson.Core.Tests.Journal;

public sealed class StepHashTests
{
    [Fact]
    public void Fields_do_not_run_together()
    {
        Assert.NotEqual(StepHash.Of("ab", "c"), StepHash.Of("a", "bc"));
        Assert.NotEqual(StepHash.Of("a"), StepHash.Of("a", ""));
        Assert.NotEqual(StepHash.Of(), StepHash.Of(""));
        Assert.NotEqual(StepHash.Of("", "a"), StepHash.Of("a", ""));
    }

    /// <summary>Any text cut in two at two different places gives two different hashes, also where pieces look like lengths.</summary>
    [Fact]
    public void No_two_ways_to_cut_a_text_have_the_same_hash()
    {
        Gen.Select(Gen.Int[0, 4].Select(i => "ab\0\u0001é"[i]).Array[1, 24], Gen.Int[0, 24], Gen.Int[0, 24]).Sample((chars, i, j) =>
        {
            var text = new string(chars);
            (i, j) = (Math.Min(i, text.Length), Math.Min(j, text.Length));
            var same = StepHash.Of(text[..i], text[i..]) == StepHash.Of(text[..j], text[j..]);
            return same == (i == j);
        }, iter: 5_000);
    }

    /// <summary>The hash is stored in journals, so it may never change.</summary>
    [Fact]
    public void The_hash_of_known_fields_stays_what_it_was()
    {
        // SHA-256 over 8 bytes of length, little-endian, and the bytes of each field.
        byte[] spelled = [5, 0, 0, 0, 0, 0, 0, 0, .. "model"u8, 0, 0, 0, 0, 0, 0, 0, 0];

        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(spelled)), StepHash.Of("model", ""));
    }

    [Fact]
    public void A_chain_depends_on_every_link_and_its_order()
    {
        var ab = StepHash.Chain(StepHash.Chain("head", "a"u8), "b"u8);
        var ba = StepHash.Chain(StepHash.Chain("head", "b"u8), "a"u8);

        Assert.NotEqual(ab, ba);
        Assert.NotEqual(StepHash.Chain("head", "a"u8), StepHash.Chain("tail", "a"u8));
        Assert.Equal(StepHash.Of("head", "x"), StepHash.Chain("head", Encoding.UTF8.GetBytes("x")));
    }
}
