using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Storage.Sqlite.Sealing;

namespace Caisson.Storage.Tests.Safety;

public sealed class SealedBoxTests
{
    private const string Place = "journal:run:7:payload";

    private static readonly byte[] Key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
    private static readonly byte[] KeyId = [1, 2, 3, 4, 5, 6, 7, 8];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    public void What_was_sealed_opens_in_its_place(int size)
    {
        var content = RandomNumberGenerator.GetBytes(size);

        var stored = SealedBox.Seal(Key, KeyId, Place, content);

        Assert.True(SealedBox.IsSealed(stored));
        Assert.Equal(KeyId, SealedBox.KeyId(stored));
        Assert.Equal(content, SealedBox.Open(Key, Place, stored));
        Assert.Equal(size + SealedBox.Overhead, stored.Length);
    }

    [Fact]
    public void It_opens_nowhere_else_and_with_no_other_key()
    {
        var stored = SealedBox.Seal(Key, KeyId, Place, "secret"u8);

        Assert.Null(SealedBox.Open(Key, "journal:run:8:payload", stored));
        Assert.Null(SealedBox.Open([.. Key.Reverse()], Place, stored));
    }

    [Fact]
    public void A_change_of_any_byte_is_noticed_and_so_is_a_cut()
    {
        var stored = SealedBox.Seal(Key, KeyId, Place, "secret"u8);

        for (var i = 0; i < stored.Length; i++)
        {
            var changed = stored.ToArray();
            changed[i] ^= 1;
            Assert.Null(SealedBox.Open(Key, Place, changed));
            Assert.Null(SealedBox.Open(Key, Place, stored.AsSpan(0, i)));
        }
    }

    [Fact]
    public void The_same_content_never_looks_the_same() =>
        Assert.NotEqual(SealedBox.Seal(Key, KeyId, Place, "secret"u8), SealedBox.Seal(Key, KeyId, Place, "secret"u8));

    /// <summary>Stored bytes of every later version must still be told apart and read: this one was made by the first.</summary>
    [Fact]
    public void The_first_versions_bytes_still_open()
    {
        var stored = Convert.FromHexString(Golden);

        Assert.Equal("golden", Encoding.ASCII.GetString(SealedBox.Open(Key, "golden", stored)!));
    }

    [Fact]
    public void What_no_key_sealed_is_answered_as_it_is()
    {
        byte[] plain = [0xca, 0x15, 0x5e, 0x00, 1];

        Assert.Equal(plain, ContentSeal.Open(null, Place, plain).ToArray());
        Assert.Equal(plain, ContentSeal.Open(new ContentSeal(), Place, plain).ToArray());
    }

    [Fact]
    public void A_seal_says_what_is_wrong()
    {
        var seal = new ContentSeal();
        seal.Add("t", new DataKey(KeyId, Key));
        var stored = seal.Seal("t", Place, "secret"u8);

        Assert.Equal(ErrorCodes.DatabaseCorrupt, Code(() => ContentSeal.Open(seal, "elsewhere", stored)));
        Assert.Equal(ErrorCodes.DatabaseCorrupt, Code(() => ContentSeal.Open(seal, Place, stored.AsMemory(0, 20))));
        Assert.Equal(ErrorCodes.KeyMissing, Code(() => ContentSeal.Open(null, Place, stored)));
        Assert.Equal(ErrorCodes.KeyMissing, Code(() => seal.Seal("other", Place, "x"u8)));
        seal.Forget("t");
        Assert.Equal(ErrorCodes.KeyMissing, Code(() => ContentSeal.Open(seal, Place, stored)));
    }

    private static string Code(Func<object> act) => Assert.Throws<CaissonException>(act).Code;

    // Made by another implementation of AES-GCM.
    private const string Golden = "ca155ea10101020304050607086465666768696a6b6c6d6e6f2f74b2021c8772a1697b9e43b98b4889d241abacb78c";
}
