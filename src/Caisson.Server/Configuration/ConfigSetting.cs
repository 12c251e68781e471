namespace Caisson.Server.Configuration;

/// <summary>One value as somebody gave it, before anybody knows what it means.</summary>
/// <param name="Path">Section and key; a provider's or a model's name may stand between them.</param>
/// <param name="Text">As text, whatever its type was: environment and flags know nothing else.</param>
/// <param name="Where">For error messages: <c>caisson.toml:12</c>, <c>environment CAISSON__…</c>, <c>--listen</c>.</param>
public sealed record ConfigSetting(IReadOnlyList<string> Path, string Text, string Where)
{
    public string Key => string.Join('.', Path.Select(p => p.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-') ? p : $"\"{p}\""));
}

/// <summary>One thing wrong with the configuration, as one line.</summary>
public sealed record ConfigProblem(string Where, string Message)
{
    public override string ToString() => $"{Where}: {Message}";
}
