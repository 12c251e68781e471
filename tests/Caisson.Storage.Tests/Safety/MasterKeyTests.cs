using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Storage.Sqlite.Sealing;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.Safety;

public sealed class MasterKeyTests : IDisposable
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);

    private readonly TempFolder _folder = new();

    private string Path => _folder["key"];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Thirty_two_bytes_are_read_as_base64_or_hexadecimal_digits()
    {
        foreach (var text in new[] { Convert.ToBase64String(Key), Convert.ToHexString(Key), Convert.ToHexStringLower(Key) + "\n", "  " + Convert.ToBase64String(Key) + "\r\n" })
            Assert.Equal(Key, Read(text).Key!.Bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("short")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==")]
    [InlineData("zz00000000000000000000000000000000000000000000000000000000000000")]
    public void Anything_else_is_refused_with_what_is_allowed(string text) => AssertRefused(Read(text), "allowed are 32 bytes");

    [Fact]
    public void A_file_of_another_kind_is_refused_without_reading_all_of_it() => AssertRefused(Read(new string('a', 5000)), "more than 1024 bytes");

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_may_use_is_refused(UnixFileMode more)
    {
        Assert.SkipUnless(!OperatingSystem.IsWindows(), "modes are Unix");
        AssertRefused(Read(Convert.ToHexString(Key), UnixFileMode.UserRead | UnixFileMode.UserWrite | more), "chmod 600");
    }

    [Fact]
    public void A_missing_file_is_refused() => AssertRefused(MasterKey.Read(Path), "cannot be read");

    private (MasterKey? Key, Failure? Failure) Read(string text, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        File.WriteAllText(Path, text);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path, mode);
        return MasterKey.Read(Path);
    }

    private void AssertRefused((MasterKey? Key, Failure? Failure) read, string part)
    {
        Assert.Null(read.Key);
        Assert.Equal(ErrorCodes.ConfigInvalid, read.Failure!.Code);
        Assert.StartsWith($"storage.key_file: {Path}: ", read.Failure.Message, StringComparison.Ordinal);
        Assert.Contains(part, read.Failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', read.Failure.Message);
        Assert.DoesNotContain(Convert.ToHexString(Key), read.Failure.Message, StringComparison.OrdinalIgnoreCase);
    }
}
