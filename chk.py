import re,sys
cur=None
for f in sys.argv[1:]:
  for l in open(f).read().strip().split('\n'):
    if not l.strip(): continue
    if l.startswith('# '):
        cur=l[2:].strip(); s=' '.join(re.sub(r'^ *///? ?','',x).strip() for x in open('tests/'+cur+'.rs').read().split('\n')); continue
    a,b=l.split(' => ',1)
    if b.strip() not in s: print(cur,'|',a)
