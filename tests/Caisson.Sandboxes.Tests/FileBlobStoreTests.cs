using Caisson.Contracts;
using Caisson.Storage.Sqlite.Blobs;

namespace Caisson.Sandboxes.Tests;

public sealed class FileBlobStoreTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("caisson-blobs-").FullName;
    private readonly FileBlobStore _store;

    public FileBlobStoreTests() => _store = new FileBlobStore(_directory, new byte[32]);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(100_000)]
    [InlineData(5_000_000)]
    public async Task What_was_put_is_got_also_by_the_next_process(int size)
    {
        var random = new byte[size];
        System.Security.Cryptography.RandomNumberGenerator.Fill(random);
        ReadOnlyMemory<byte>[] contents = [random, new byte[size], random];

        var addresses = await _store.PutAsync(contents, default);

        Assert.Equal(contents.Select(c => _store.AddressOf(c.Span)), addresses);
        var reopened = new FileBlobStore(_directory, new byte[32]);
        for (var i = 0; i < contents.Length; i++)
            Assert.Equal(contents[i].ToArray(), (await reopened.GetAsync(addresses[i], default))!.Value.ToArray());
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_directory, "tmp")));
    }

    [Fact]
    public async Task What_shrinks_is_stored_small()
    {
        var address = (await _store.PutAsync([new byte[1_000_000]], default))[0];

        Assert.True(new FileInfo(PathOf(address)).Length < 1000);
    }

    [Fact]
    public async Task Another_tenant_finds_nothing_and_guesses_nothing()
    {
        var address = (await _store.PutAsync(["known content"u8.ToArray()], default))[0];
        var other = new FileBlobStore(Path.Combine(_directory, "other"), [.. Enumerable.Repeat((byte)1, 32)]);

        Assert.NotEqual(address, other.AddressOf("known content"u8));
        Assert.Null(await other.GetAsync(address, default));
    }

    [Theory]
    [InlineData("")]
    [InlineData("../../etc/passwd")]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("ABCDEF0000000000000000000000000000000000000000000000000000000000")]
    public async Task What_is_no_address_or_not_there_is_null(string address) => Assert.Null(await _store.GetAsync(address, default));

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(12)]
    [InlineData(-1)]
    public async Task A_changed_file_is_told_as_corrupt(int at)
    {
        var address = (await _store.PutAsync([new byte[5000]], default))[0];
        var bytes = await File.ReadAllBytesAsync(PathOf(address));
        await File.WriteAllBytesAsync(PathOf(address), at < 0 ? bytes[..^1] : [.. bytes[..at], (byte)(bytes[at] ^ 0x55), .. bytes[(at + 1)..]]);

        var error = await Assert.ThrowsAsync<CaissonException>(() => _store.GetAsync(address, default));

        Assert.Equal(ErrorCodes.DatabaseCorrupt, error.Code);
    }

    [Fact]
    public async Task A_whole_file_under_another_name_is_told_as_corrupt()
    {
        var addresses = await _store.PutAsync(["one"u8.ToArray(), "two"u8.ToArray()], default);
        File.Copy(PathOf(addresses[0]), PathOf(addresses[1]), overwrite: true);

        var error = await Assert.ThrowsAsync<CaissonException>(() => _store.GetAsync(addresses[1], default));

        Assert.Equal(ErrorCodes.DatabaseCorrupt, error.Code);
        Assert.Contains(PathOf(addresses[1]), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_content_put_by_many_at_once_is_stored_once()
    {
        var content = new byte[100_000];

        var addresses = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => _store.PutAsync([content], default)));

        Assert.Single(addresses.SelectMany(a => a).Distinct());
        Assert.Single(Directory.EnumerateFiles(_directory, "*", SearchOption.AllDirectories));
    }

    private string PathOf(string address) => Path.Combine(_directory, address[..2], address[2..]);
}
