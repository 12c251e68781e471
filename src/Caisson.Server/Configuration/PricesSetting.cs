using Caisson.Gateway.Prices;

namespace Caisson.Server.Configuration;

/// <summary><c>prices = "FILE"</c>: a table of our own format that goes before the built-in one.</summary>
internal static class PricesSetting
{
    private const int MostBytes = 64 << 20;

    /// <summary>What is wrong with the file, or <c>null</c>.</summary>
    internal static string? Apply(string text, Action<PriceTable> use)
    {
        if (ConfigReader.Path(text, _ => { }) is { } empty)
            return empty;
        try
        {
            var path = Path.GetFullPath(text);
            if (new FileInfo(path).Length > MostBytes)
                return $"'{text}' has more than {MostBytes >> 20} MiB: this is no price table";
            switch (PriceTable.Read(File.ReadAllBytes(path), text))
            {
                case PriceTableOutcome.Parsed(var table):
                    use(table.Over(PriceTable.Embedded));
                    return null;
                case PriceTableOutcome.Refused(var message):
                    return message;
                default:
                    throw new InvalidOperationException("unreachable");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"cannot read '{text}' ({e.Message}): give a file that 'caisson prices import' wrote";
        }
    }
}
