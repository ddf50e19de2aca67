package untrusted

import "testing"

// Every message of every report is cleaned.
func BenchmarkClean(b *testing.B) {
	for name, text := range map[string]string{
		"ours":   "its selector app=web takes no pods: app=shop in apps/web/deployment.yaml, and 12 of 13 clusters are ready",
		"secret": `Get "https://bob:pa55@cluster:6443/api?access_token=abcdef": {"token":"abc"} Authorization: Bearer abcdefgh`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				New(text)
			}
		})
	}
}
