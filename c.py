import re,sys,textwrap
def run(spec):
    cur=None; todo={}
    for l in spec.strip().split('\n'):
        l=l.rstrip()
        if not l: continue
        if l.startswith('# '): cur=l[2:]; todo[cur]=[]; continue
        a,b=l.split(' => ',1); todo[cur].append([a.strip(),b.strip(),0])
    for f,pairs in todo.items():
        path='tests/'+f+'.rs'; lines=open(path).read().split('\n'); out=[]; i=0
        while i<len(lines):
            m=re.match(r'^( *)(///|//) ?(?!!)',lines[i])
            if m and not lines[i].lstrip().startswith('//!'):
                ind,mark=m[1],m[2]; j=i; text=[]
                while j<len(lines) and re.match('^'+ind+mark+r'( |$)(?!/)',lines[j]): text.append(lines[j][len(ind)+len(mark):].strip()); j+=1
                if j==i: out.append(lines[i]); i+=1; continue
                joined=' '.join(text)
                for p in pairs:
                    if joined.startswith(p[0]):
                        p[2]+=1
                        w=104-len(ind)-len(mark)-1
                        if p[1]!='-':
                            out+= [ind+mark+' '+t for t in textwrap.wrap(p[1],w,break_long_words=False,break_on_hyphens=False)]
                        break
                else: out+=lines[i:j]
                i=j; continue
            out.append(lines[i]); i+=1
        for p in pairs:
            if p[2]!=1: print('!!',f,p[2],p[0])
        open(path,'w').write('\n'.join(out))
run(open(sys.argv[1]).read())
