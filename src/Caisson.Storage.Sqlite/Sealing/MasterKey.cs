using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;

namespace Caisson.Storage.Sqlite.Sealing;

/// <summary>The master key of a data directory, from a file that only its owner may read.</summary>
internal sealed class MasterKey
{
    internal const int Length = 32;

    private const int MostBytes = 1024;
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    internal MasterKey(byte[] bytes)
    {
        Bytes = bytes;
        Id = SHA256.HashData([.. "caisson master key\n"u8, .. bytes])[..SealedBox.KeyIdLength];
    }

    internal byte[] Bytes { get; }

    /// <summary>Tells keys apart and betrays none: a part of a hash of 32 random bytes.</summary>
    internal byte[] Id { get; }

    internal static (MasterKey? Key, Failure? Failure) Read(string path)
    {
        try
        {
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Others) != 0)
                return Refuse(path, "others than its owner may use it: chmod 600 it");
            if (new FileInfo(path).Length > MostBytes)
                return Refuse(path, $"found more than {MostBytes} bytes, allowed are {Length} bytes as base64 or hexadecimal digits");
            var text = File.ReadAllText(path, Encoding.ASCII).Trim();
            return Decode(text) is { } key
                ? (new MasterKey(key), null)
                : Refuse(path, $"found {text.Length} characters, allowed are {Length} bytes as base64 or hexadecimal digits: make one with head -c {Length} /dev/urandom | base64");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Refuse(path, $"cannot be read: {e.Message}");
        }
    }

    private static byte[]? Decode(string text)
    {
        if (text.Length == 2 * Length && text.All(char.IsAsciiHexDigit))
            return Convert.FromHexString(text);
        var bytes = new byte[Length + 2];
        return Convert.TryFromBase64String(text, bytes, out var length) && length == Length ? bytes[..Length] : null;
    }

    private static (MasterKey?, Failure?) Refuse(string path, string why) => (null, new Failure(ErrorCodes.ConfigInvalid, $"storage.key_file: {path}: {why}"));
}
